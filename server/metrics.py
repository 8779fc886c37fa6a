"""What can be measured of a server: the metrics of `/metrics`, each defined here and nowhere else.

No label says whose, which or where: there are as many time series as there are lines here, and no secret in them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .. import __version__
from ..resolvers.errors import RequestError, Unauthenticated
from ..store import Outcome

MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that prometheus-client reads when it is imported: where several processes keep what they count."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What a process has at the moment. Each is a gauge of this name."""

    connections: int
    subscribers: int
    component_subscribers: int
    components: int
    pending_changes: int
    feed_failing: bool
    feed_lag_seconds: float
    revision: int
    database_connections_in_use: int
    database_connections_max: int


_LEVELS = {
    "connections": "Websockets and streams that are open.",
    "subscribers": "Subscriptions to model configs.",
    "component_subscribers": "Watches of components.",
    "components": "Components that are connected.",
    "pending_changes": "Changes that watches have not taken yet: one for each config and watch at most.",
    "feed_failing": "1 while the change log cannot be read: subscribers wait.",
    "feed_lag_seconds": "How long ago the change log was read. Above 2 s something is wrong.",
    "revision": "The revision that subscribers have been told of.",
    "database_connections_in_use": "Connections of the pool that are in use.",
    "database_connections_max": "Connections that the pool may have.",
}
_Together = Literal["livesum", "livemax", "livemin"]
# How the levels of several workers are put together, where it is not by their sum.
_TOGETHER: dict[str, _Together] = {
    "feed_failing": "livemax",
    "feed_lag_seconds": "livemax",
    "revision": "livemin",
}


class Metrics:
    """The metrics of one server process. It is a `Deliveries` of the websockets, and its methods do not raise.

    With PROMETHEUS_MULTIPROC_DIR in the environment the page has what all processes with this folder counted.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._several = MULTIPROCESS_FOLDER in os.environ
        self._delivered = self._histogram(
            "commit_to_delivered_seconds",
            "From a change to its sending to subscribers, over websockets; those that are sent it together count once.",
        )
        self._applied = self._histogram(
            "commit_to_applied_seconds",
            "From a change until a component runs it, as it says; of components that were connected at the change.",
        )
        self._commits = self._counter("commits", "Transactions that changed model configs.")
        self._deliveries = self._counter("deliveries", "Events that were sent to subscribers over websockets.")
        self._conflated = self._counter(
            "conflated_deliveries", "Events that told a slow or returning subscriber at once what it had missed."
        )
        self._behind = self._counter("subscribers_fell_behind", "Times that a subscriber could not be written to.")
        self._dropped = self._counter("dropped_connections", "Connections closed because the peer did not read.")
        self._acknowledgements = self._counter("acknowledgements", "What components said of versions.", "outcome")
        self._authentication_failures = self._counter("authentication_failures", "Credentials that were not accepted.")
        self._request_errors = self._counter(
            "request_errors", "What was refused, by the code that clients get.", "code"
        )
        self._levels = {name: self._gauge(name, text, _TOGETHER.get(name, "livesum")) for name, text in _LEVELS.items()}
        self._info = self._gauge("info", "1, with the version of the server.", "livemax", "version")
        self._info.labels(__version__).set(1)
        # There from the start, as 0, so that their first increase is one.
        for outcome in Outcome:
            self._acknowledgements.labels(outcome.value)
        for error in RequestError.__subclasses__():
            self._request_errors.labels(error.code)
        if not self._several:
            ProcessCollector(registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"modelwire_{name}", text, buckets=_BUCKETS, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"modelwire_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, together: _Together, *labels: str) -> Gauge:
        return Gauge(f"modelwire_{name}", text, labels, multiprocess_mode=together, registry=self.registry)

    def delivered(self, members: int, seconds: float | None) -> None:
        self._deliveries.inc(members)
        if seconds is not None:
            self._delivered.observe(max(0.0, seconds))

    def caught_up(self) -> None:
        self._conflated.inc()

    def fell_behind(self) -> None:
        self._behind.inc()

    def dropped(self) -> None:
        self._dropped.inc()

    def committed(self) -> None:
        """A transaction changed model configs."""
        self._commits.inc()

    def acknowledged(self, outcome: Outcome, seconds: float | None) -> None:
        """A component spoke of a version, and did it so long after the commit.

        None: it was not connected then, or when that was is not known.
        """
        self._acknowledgements.labels(outcome.value).inc()
        if outcome is Outcome.APPLIED and seconds is not None:
            self._applied.observe(max(0.0, seconds))

    def unauthenticated(self) -> None:
        """A credential was not accepted."""
        self._authentication_failures.inc()

    def refused(self, code: str) -> None:
        """A request was answered with an error of this `extensions.code`."""
        self._request_errors.labels(code).inc()
        if code == Unauthenticated.code:
            self.unauthenticated()

    def note(self, levels: Levels) -> None:
        """Set the gauges."""
        for field in fields(levels):
            self._levels[field.name].set(float(getattr(levels, field.name)))

    def page(self, levels: Callable[[], Levels]) -> bytes:
        """All metrics in Prometheus' text format."""
        self.note(levels())
        if not self._several:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
