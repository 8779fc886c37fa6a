"""What happened in a run: what was written, what each watch and each component was told, and which faults there were.

Plain records, which can be saved as JSON and checked again. Times are `time.time()` of this machine. `value` stands for
the whole content of a config: all fields that the writers set carry the same number, and a config in which they differ
has all of them in its value.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from modelwire.store import Position

Pattern = str


@dataclass(frozen=True, slots=True)
class Held:
    """One config at one version, as it was told or as it is in the change log. `value` None: not configured."""

    id: str
    alias: str
    version: int
    revision: int
    value: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a store's change log. `held` None says that it was deleted."""

    store: str
    revision: int
    id: str
    version: int
    held: Held | None


@dataclass(frozen=True, slots=True)
class Written:
    """What one mutation does to one config. `id` and `version` None: not known, its answer does not say them."""

    alias: str | None
    value: str | None
    id: str | None = None
    version: int | None = None


@dataclass(slots=True)
class Mutation:
    """`outcome` is answered, refused, or unknown because no answer came. `store` and `revision` are of an answer."""

    kind: str
    writes: list[Written]
    sent_at: float
    outcome: str = "unknown"
    store: str | None = None
    revision: int | None = None


@dataclass(slots=True)
class Event:
    """One event of a watch. `put` are all configs of a snapshot; `removed` has (id, alias)."""

    at: float
    kind: str
    store: str
    revision: int
    put: list[Held] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    reset: bool = False


@dataclass(slots=True)
class Connection:
    """One subscription on one socket. `since` is (store, revision); None asks for a snapshot.

    `credentials` are those that it had, one after the other. `closed` says how it ended.
    """

    opened_at: float
    since: tuple[str, int] | None
    credentials: list[str]
    events: list[Event] = field(default_factory=list)
    closed_at: float | None = None
    closed: str = ""


@dataclass(slots=True)
class WatchHistory:
    """One watch over all its connections. `aliases` and `ids` None: all that it may see; `visible` None: everything.

    `over` says that it ended on purpose, because its credential was taken from it.
    """

    name: str
    aliases: list[str] | None = None
    ids: list[str] | None = None
    visible: list[Pattern] | None = None
    connections: list[Connection] = field(default_factory=list)
    over: bool = False


@dataclass(slots=True)
class Applied:
    """What a component's model runs on from a moment on. `held` None: it has no configuration."""

    at: float
    store: str | None
    held: Held | None


@dataclass(slots=True)
class ComponentHistory:
    """One model of one component."""

    name: str
    alias: str
    applied: list[Applied] = field(default_factory=list)


@dataclass(slots=True)
class Credential:
    """`ended_at` is when it expired, or when its revocation was answered; None: it is good."""

    name: str
    ended_at: float | None = None


@dataclass(slots=True)
class FaultRecord:
    """One fault that was injected, for as long as it lasted. `target` None: it concerns all."""

    kind: str
    target: str | None
    began_at: float
    ended_at: float


@dataclass(slots=True)
class Frozen:
    """A subscriber that stopped reading while `offered_bytes` of changes were committed.

    `full_at` is when more had been committed than the sockets' buffers can take, `dropped_at` when the server closed
    the connection; None: not before `thawed_at`, when the subscriber read again. `backlog_bytes` is what it then found.
    """

    name: str
    frozen_at: float
    thawed_at: float
    offered_bytes: int
    backlog_bytes: int
    full_at: float | None = None
    dropped_at: float | None = None


@dataclass(slots=True)
class History:
    """A whole run. `final` is the position of the last change, after which everybody had time to hear of it."""

    seed: str
    database: str
    final: tuple[str, int] = ("", 0)
    log: list[Row] = field(default_factory=list)
    mutations: list[Mutation] = field(default_factory=list)
    watches: list[WatchHistory] = field(default_factory=list)
    components: list[ComponentHistory] = field(default_factory=list)
    credentials: dict[str, Credential] = field(default_factory=dict)
    faults: list[FaultRecord] = field(default_factory=list)
    frozen: list[Frozen] = field(default_factory=list)

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(dataclasses.asdict(self), separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, file: Path) -> Self:
        return cls.of(json.loads(file.read_text()))

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """From what `dataclasses.asdict` gave, by way of JSON."""
        return cls(
            seed=plain["seed"],
            database=plain["database"],
            final=_position(plain["final"]) or ("", 0),
            log=[Row(**{**row, "held": _held(row["held"])}) for row in plain["log"]],
            mutations=[
                Mutation(**{**each, "writes": [Written(**written) for written in each["writes"]]})
                for each in plain["mutations"]
            ],
            watches=[
                WatchHistory(**{**watch, "connections": [_connection(each) for each in watch["connections"]]})
                for watch in plain["watches"]
            ],
            components=[
                ComponentHistory(
                    component["name"],
                    component["alias"],
                    [Applied(each["at"], each["store"], _held(each["held"])) for each in component["applied"]],
                )
                for component in plain["components"]
            ],
            credentials={name: Credential(**each) for name, each in plain["credentials"].items()},
            faults=[FaultRecord(**each) for each in plain["faults"]],
            frozen=[Frozen(**each) for each in plain["frozen"]],
        )


def position(text: str) -> tuple[str, int]:
    """(store, revision) of the API's `Revision`."""
    parsed = Position.parse(text)
    return parsed.store_id, parsed.revision


def _position(plain: list[Any] | None) -> tuple[str, int] | None:
    return None if plain is None else (plain[0], plain[1])


def _held(plain: dict[str, Any] | None) -> Held | None:
    return None if plain is None else Held(**plain)


def _connection(plain: dict[str, Any]) -> Connection:
    events = [
        Event(**{**each, "put": [Held(**put) for put in each["put"]], "removed": [tuple(r) for r in each["removed"]]})
        for each in plain["events"]
    ]
    return Connection(**{**plain, "since": _position(plain["since"]), "events": events})
