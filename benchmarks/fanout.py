"""One change to N subscribers of one alias: what a delivery costs the server, and how long the last one waits.

Peers: Strawberry's own handler (`stock`, which executes for each subscriber), an ASGI application that sends ready text
(`ceiling`), and `broadcast()` of the websockets library. What a change costs without subscribers (the commit, or the
request of a ready server) is measured beside it and taken off, of the CPU and of the time. The longest stall is that of
a websocket ping that waits for its pong while the change is fanned out: the protocol answers it, no task is involved.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .figures import Figure, Goal
from .lab import Lab
from .loader import Load
from .processes import settle
from .servers import Server, watch

_GOALS = (
    Goal(over="stock", under="modelwire", at_least=12),
    Goal(over="ceiling", under="modelwire", at_least=0.9),
    Goal(over="broadcast", under="modelwire", at_least=0.85),
)
_SMALL_GOALS = (Goal(over="stock", under="modelwire", at_least=12),)

VARIANTS = ("modelwire", "ceiling", "broadcast", "stock")


@dataclass
class _Variant:
    """A server with its subscribers, and what was measured of it: one value for each round."""

    server: Server
    load: Load
    base_cpu: list[float] = field(default_factory=list)
    base_seconds: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)
    last_millis: list[float] = field(default_factory=list)
    p99_millis: list[float] = field(default_factory=list)
    median_millis: list[float] = field(default_factory=list)
    stall_millis: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    @property
    def values(self) -> tuple[list[float], ...]:
        """All that `measure` adds to."""
        return self.micros, self.last_millis, self.p99_millis, self.median_millis, self.stall_millis, self.busy

    def measure_base(self, changes: int) -> None:
        cpu, began = self.server.process.cpu_seconds(), time.monotonic()
        for _ in range(changes):
            self.server.change()
        self.base_seconds.append((time.monotonic() - began) / max(changes, 1))
        self.base_cpu.append((self.server.process.cpu_seconds() - cpu) / max(changes, 1))

    def measure(self, subscribers: int, changes: int) -> None:
        """One round: changes, one after the other, each delivered to all before the next."""
        cpu = self.server.process.cpu_seconds()
        last, p99, median, stall, busy = [], [], [], [], []
        for _ in range(changes):
            self.load.expect(subscribers, probe=True)
            began = time.monotonic()
            self.server.change()
            arrived = self.load.arrived()
            last.append(arrived.last - began)
            p99.append(arrived.p99 - began)
            median.append(arrived.median - began)
            stall.append(arrived.longest_wait)
            busy.append(arrived.busy)
        spent = (self.server.process.cpu_seconds() - cpu) / changes - statistics.median(self.base_cpu)
        base = statistics.median(self.base_seconds)
        self.micros.append(spent / subscribers * 1e6)
        self.last_millis.append((statistics.median(last) - base) * 1e3)
        self.p99_millis.append((statistics.median(p99) - base) * 1e3)
        self.median_millis.append((statistics.median(median) - base) * 1e3)
        self.stall_millis.append(max(stall) * 1e3)
        self.busy.append(max(busy))


def run(lab: Lab) -> list[Figure]:
    figures = []
    for subscribers, changes in lab.choose([(100, 20), (1_000, 5), (5_000, 2)], [(60, 1)]):
        figures += _measure(lab, subscribers, changes, rounds=lab.choose(5, 2))
    return figures


def _measure(lab: Lab, subscribers: int, changes: int, *, rounds: int) -> list[Figure]:
    variants = {name: _Variant(lab.start(name), lab.load()) for name in VARIANTS}
    for _ in range(rounds):
        for variant in variants.values():
            # So few deliveries as in a small run cost less than the cost of a change varies: there they count as one.
            variant.measure_base(lab.choose(10, 0))
    for variant in variants.values():
        watch(variant.load, variant.server, subscribers)
        variant.measure(subscribers, 1)
        for values in variant.values:
            values.clear()
    processes = [variant.server.process for variant in variants.values()]
    for _ in range(rounds):
        for variant in variants.values():
            # All are on one core, and one that was late with its pings sends them now.
            settle(processes)
            variant.measure(subscribers, changes)
    for variant in variants.values():
        variant.load.stop()
        lab.stop(variant.server)
    return _figures(variants, subscribers, small=lab.small)


def _figures(variants: dict[str, _Variant], subscribers: int, *, small: bool) -> list[Figure]:
    many = subscribers >= 5_000
    name = f"one change to {subscribers:,} subscribers"
    busy = max(value for variant in variants.values() for value in variant.busy)

    def figure(what: str, unit: str, values: Callable[[_Variant], list[float]], *goals: Goal, **more: Any) -> Figure:
        runs = {key: values(variant) for key, variant in variants.items()}
        return Figure(name=name + what, unit=unit, runs=runs, goals=goals, **more)

    return [
        figure(
            "",
            "µs of CPU per delivery",
            lambda variant: variant.micros,
            *(_SMALL_GOALS if small else _GOALS if subscribers >= 1_000 else ()),
            notes=[f"the load generator used at most {busy:.0%} of its core"],
        ),
        figure(": half of them have it", "ms after the commit", lambda variant: variant.median_millis),
        figure(": 99 of 100 have it", "ms after the commit", lambda variant: variant.p99_millis),
        figure(
            ": the last one has it",
            "ms after the commit",
            lambda variant: variant.last_millis,
            *([Goal(over="modelwire", under="ceiling", at_most=1.2)] if many else ()),
        ),
        figure(
            ": longest stall of the event loop",
            "ms",
            lambda variant: variant.stall_millis,
            *([Goal(over="modelwire", at_most=25)] if many else ()),
        ),
    ]
