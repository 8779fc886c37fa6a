"""Figures: what was measured of each variant, and the goals that they are held to. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ABSURD = 20.0
"""How often a ratio of a small run may miss its goal before something is broken rather than slow."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and between which values the others lie."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a variant is held to: `over` divided by `under`, run by run, or `over` itself when `under` is empty.

    Exactly one of `at_least` and `at_most` is given.
    """

    over: str
    under: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def limit(self) -> float:
        limit = self.at_most if self.at_least is None else self.at_least
        assert limit is not None
        return limit

    @property
    def is_ratio(self) -> bool:
        return bool(self.under)

    def values(self, runs: Mapping[str, Sequence[float]]) -> list[float]:
        """The goal's value in each run."""
        if not self.under:
            return list(runs[self.over])
        return [over / under for over, under in zip(runs[self.over], runs[self.under], strict=True)]

    def met(self, value: float, slack: float = 1.0) -> bool:
        """Whether a value meets the goal, or misses it by less than the factor `slack`."""
        return value * slack >= self.limit if self.at_least is not None else value <= self.limit * slack

    def text(self, unit: str) -> str:
        """As people say it: `stock / modelwire ≥ 12`."""
        sign = "≥" if self.at_least is not None else "≤"
        if self.is_ratio:
            return f"{self.over} / {self.under} {sign} {self.limit:g}"
        return f"{self.over} {sign} {number(self.limit)} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing that was measured side by side: `runs` holds the values of each variant, in the order of the rounds.

    `notes` says what belongs to it, such as how busy the load generator was.
    """

    name: str
    unit: str
    runs: Mapping[str, Sequence[float]]
    goals: Sequence[Goal] = ()
    notes: Sequence[str] = field(default=())

    def spread(self, variant: str) -> Spread:
        return Spread.of(self.runs[variant])

    def judged(self) -> list[tuple[Goal, Spread, bool]]:
        """Each goal, its value, and whether the median meets it."""
        spreads = [(goal, Spread.of(goal.values(self.runs))) for goal in self.goals]
        return [(goal, spread, goal.met(spread.median)) for goal, spread in spreads]

    def absurd(self) -> list[str]:
        """The ratios that miss their goal by far, as sentences."""
        return [
            f"{self.name}: {goal.text(self.unit)}, and it is {number(spread.median)}"
            for goal, spread, _ in self.judged()
            if goal.is_ratio and not goal.met(spread.median, ABSURD)
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "runs": {variant: [round(value, 4) for value in values] for variant, values in self.runs.items()},
            "goals": [
                {"goal": goal.text(self.unit), "median": round(spread.median, 4), "met": met}
                for goal, spread, met in self.judged()
            ],
            "notes": list(self.notes),
        }


def number(value: float) -> str:
    """Three digits that say something, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
