"""The figures as people read them: a table on the terminal, and a page, charts and JSON in docs/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from .charts import fanout_chart, goals_chart
from .figures import Figure, number
from .machine import machine
from .processes import ROOT
from .sizing import sizing_table

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured: written by make bench -->", "<!-- /measured -->"


def print_figures(benchmark: str, figures: list[Figure], seconds: float) -> None:
    """What a benchmark gave, on the terminal."""
    print(f"\n{benchmark} ({seconds:.0f} s)")
    for figure in figures:
        print(f"  {figure.name} [{figure.unit}]")
        for variant in figure.runs:
            spread = figure.spread(variant)
            around = f"{number(spread.least)} .. {number(spread.most)}"
            print(f"    {variant:<32}{number(spread.median):>10}   {around}")
        for goal, spread, met in figure.judged():
            around = f"{number(spread.least)} .. {number(spread.most)}"
            mark = "met" if met else "MISSED"
            print(f"    goal: {goal.text(figure.unit):<42} {number(spread.median):>8}   {around:<20} {mark}")
        for note in figure.notes:
            print(f"    {note}")
    print(end="", flush=True)


class Report:
    """All that was measured in one run, by benchmark. None: it failed."""

    def __init__(self) -> None:
        self._figures: dict[str, list[Figure] | None] = {}
        self._date = f"{datetime.now(UTC):%Y-%m-%d}"

    @property
    def failed(self) -> list[str]:
        return [name for name, figures in self._figures.items() if figures is None]

    def add(self, benchmark: str, figures: list[Figure] | None) -> None:
        self._figures[benchmark] = figures

    def absurd(self) -> list[str]:
        """The ratios that are far from their goals, as sentences."""
        return [sentence for figure in self._all() for sentence in figure.absurd()]

    def write(self, folder: Path = PAGE.parent) -> None:
        """Write the JSON, the charts, and the measured part of the page. The rest of the page is written by people."""
        page = folder / PAGE.name
        before, _, rest = page.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise ValueError(f"{page.name} does not have the lines {BEGIN} and {END}")
        subtitle = f"{self._date}, {machine()}"
        figures = {name: [figure.to_json() for figure in found or ()] for name, found in self._figures.items()}
        results = {"date": self._date, "machine": machine(), "failed": self.failed, "figures": figures}
        (folder / "performance.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        (folder / "performance-fanout.svg").write_text(fanout_chart(self._figures.get("fanout") or [], subtitle))
        (folder / "performance-goals.svg").write_text(goals_chart(list(self._all()), subtitle))
        page.write_text(f"{before}{BEGIN}\n\n{self._measured(subtitle)}\n{END}{after}")

    def _all(self) -> Iterator[Figure]:
        for figures in self._figures.values():
            yield from figures or ()

    def _measured(self, subtitle: str) -> str:
        lines = [
            f"Measured {subtitle}.",
            "",
            "![What one delivery costs the server, Modelwire beside its peers](performance-fanout.svg)",
            "",
            "![Each goal, and how far it is met](performance-goals.svg)",
            "",
        ]
        if self.failed:
            lines += [f"Failed in this run: {', '.join(self.failed)}.", ""]
        lines += ["| what | goal | median | runs | |", "| --- | --- | --- | --- | --- |"]
        for figure in self._all():
            for goal, spread, met in figure.judged():
                around = f"{number(spread.least)} to {number(spread.most)}"
                mark = "met" if met else "**missed**"
                lines.append(
                    f"| {figure.name} | {goal.text(figure.unit)} | {number(spread.median)} | {around} | {mark} |"
                )
        lines += ["", "| figure | unit | medians |", "| --- | --- | --- |"]
        for figure in self._all():
            medians = ", ".join(f"{variant} {number(figure.spread(variant).median)}" for variant in figure.runs)
            lines.append(f"| {figure.name} | {figure.unit} | {medians} |")
        if sizing := sizing_table(self._figures):
            lines += ["", "By calculation from these figures, under the assumptions below:", "", *sizing]
        return "\n".join([*lines, ""])
