"""Each checker finds what it is there for: a small good history, and what breaks each promise in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from guarantees.checkers import BOOKMARK_SECONDS, BUFFER_BYTES, CHECKERS, DROP_SECONDS, violations
from guarantees.history import (
    Applied,
    ComponentHistory,
    Connection,
    Credential,
    Event,
    FaultRecord,
    Frozen,
    Held,
    History,
    Mutation,
    Row,
    WatchHistory,
    Written,
)

HISTORIES = Path(__file__).with_name("histories")

# Two configs: a is created, updated and renamed; b is created with a's second version, in one transaction.
A1 = Held("1", "a", 1, 1, "10")
A2 = Held("1", "a", 2, 2, "20")
B1 = Held("2", "b", 1, 2, "21")
A3 = Held("1", "c", 3, 3, "30")
B2 = Held("2", "b", 2, 4, "40")


def good() -> History:
    """In it `all` reconnects once, `a` loses its config to a rename, and `late` has a key that is revoked."""
    return History(
        seed="good",
        database="none",
        final=("s", 4),
        log=[Row("s", held.revision, held.id, held.version, held) for held in (A1, A2, B1, A3, B2)],
        mutations=[
            Mutation("create", [Written("a", "10", "1", 1)], 1.0, "answered", "s", 1),
            Mutation("import", [Written("a", "20"), Written("b", "21")], 2.0, "answered", "s", 2),
            Mutation("rename", [Written("c", "30", "1", 3)], 3.0),
            Mutation("update", [Written("b", "40", "2", 2)], 4.0, "answered", "s", 4),
        ],
        watches=[
            WatchHistory(
                "all",
                connections=[
                    Connection(
                        0.5,
                        None,
                        ["key"],
                        [Event(0.6, "snapshot", "s", 1, [A1]), Event(2.1, "change", "s", 2, [A2, B1])],
                        2.5,
                        "cut",
                    ),
                    Connection(3.1, ("s", 2), ["key"], [Event(4.1, "change", "s", 4, [A3, B2])]),
                ],
            ),
            WatchHistory(
                "a",
                aliases=["a"],
                connections=[
                    Connection(
                        1.5,
                        None,
                        ["key"],
                        [
                            Event(1.6, "snapshot", "s", 1, [A1]),
                            Event(2.1, "change", "s", 2, [A2]),
                            Event(3.1, "change", "s", 3, [], [("1", "a")]),
                            Event(5.1, "bookmark", "s", 4),
                        ],
                    )
                ],
            ),
            WatchHistory(
                "late",
                visible=["b*"],
                connections=[Connection(2.5, None, ["taken"], [Event(2.6, "snapshot", "s", 2, [B1])], 3.5, "4403")],
                over=True,
            ),
        ],
        components=[
            ComponentHistory("agent b", "b", [Applied(2.2, "s", B1), Applied(4.2, "s", B2)]),
            ComponentHistory("agent a", "a", [Applied(1.2, "s", A1), Applied(3.2, None, None)]),
        ],
        credentials={"key": Credential("key"), "taken": Credential("taken", ended_at=3.5)},
        faults=[FaultRecord("cut", "all", 2.5, 2.5)],
        frozen=[Frozen("sloth", 1.0, 9.0, 9_000_000, 3_000_000, full_at=2.0, dropped_at=4.0)],
    )


def connection(history: History, watch: int, number: int = 0) -> Connection:
    return history.watches[watch].connections[number]


def events(history: History, watch: int, number: int = 0) -> list[Event]:
    return connection(history, watch, number).events


Breaking = Callable[[History], object]


def replaced(field: str, value: object, of: Callable[[History], object]) -> Breaking:
    return lambda history: setattr(of(history), field, value)


BREAKINGS: dict[str, list[Breaking]] = {
    "Durable": [
        # An answered mutation that is not there; with other content; announced and never committed.
        lambda h: h.log.remove(h.log[-1]),
        replaced("writes", [Written("b", "41", "2", 2)], lambda h: h.mutations[3]),
        replaced("revision", 3, lambda h: h.mutations[3]),
        lambda h: events(h, 2).append(Event(2.7, "change", "s", 3, [Held("2", "b", 7, 3, "70")])),
        lambda h: h.components[0].applied.insert(1, Applied(3.0, "s", Held("2", "b", 7, 3, "70"))),
    ],
    "Ordered": [
        lambda h: events(h, 1).insert(2, Event(2.5, "bookmark", "s", 1)),
        lambda h: events(h, 1).append(Event(5.2, "change", "s", 4, [])),
        lambda h: events(h, 1).append(Event(5.2, "snapshot", "s", 3, [], reset=True)),
        lambda h: events(h, 1).append(Event(5.2, "change", "t", 5, [])),
        replaced("revision", 1, lambda h: events(h, 1)[1]),
        lambda h: events(h, 0, 1)[0].put.append(A2),
        lambda h: events(h, 0)[0].put.append(Held("2", "b", 1, 1, "21")),
        lambda h: h.components[0].applied.append(Applied(5.0, "s", B1)),
    ],
    "Reliable": [
        lambda h: events(h, 0, 1).clear(),
        lambda h: events(h, 1).pop(),
        lambda h: events(h, 1).pop(2),
        lambda h: h.components[0].applied.pop(),
        lambda h: h.components[0].applied.clear(),
        lambda h: h.components[1].applied.pop(),
        replaced("over", value=False, of=lambda h: h.watches[2]),
    ],
    "Atomic": [
        lambda h: events(h, 0)[1].put.pop(),
        lambda h: events(h, 0, 1)[0].put.pop(),
        lambda h: events(h, 1).pop(2),
        replaced("put", [Held("1", "a", 2, 2, "20/21")], lambda h: events(h, 1)[1]),
        lambda h: h.log.__setitem__(2, Row("s", 3, "2", 1, B1)),
        lambda h: h.log.remove(h.log[2]),
        lambda h: h.components[0].applied.__setitem__(0, Applied(2.2, "s", Held("2", "b", 1, 2, "20/21"))),
        lambda h: h.mutations.append(Mutation("update", [Written("b", "40")], 4.0, "refused")),
    ],
    "Unique": [
        lambda h: events(h, 0, 1)[0].put.append(B1),
        lambda h: events(h, 1).insert(2, events(h, 1)[1]),
        lambda h: events(h, 1).insert(3, events(h, 1)[2]),
        lambda h: events(h, 1).append(Event(5.2, "snapshot", "s", 4, [])),
        replaced("reset", value=True, of=lambda h: events(h, 1)[0]),
    ],
    "Resumable": [
        lambda h: events(h, 0, 1).__setitem__(0, Event(4.1, "bookmark", "s", 4)),
        lambda h: events(h, 0, 1)[0].put.remove(A3),
        lambda h: events(h, 0, 1).insert(0, Event(4.0, "snapshot", "s", 4, [A3, B2], reset=True)),
        replaced("since", ("t", 2), lambda h: connection(h, 0, 1)),
        replaced("kind", "change", lambda h: events(h, 1)[0]),
    ],
    "Bookmarkable": [
        lambda h: events(h, 1).append(Event(5.2 + BOOKMARK_SECONDS, "bookmark", "s", 4)),
        replaced("closed_at", 5.2 + BOOKMARK_SECONDS, lambda h: connection(h, 1)),
    ],
    "Bounded": [
        replaced("backlog_bytes", BUFFER_BYTES + 1, lambda h: h.frozen[0]),
        replaced("dropped_at", 2.0 + DROP_SECONDS, lambda h: h.frozen[0]),
        lambda h: h.frozen.append(Frozen("kept", 1.0, 2.0 + DROP_SECONDS, 9_000_000, 0, full_at=2.0)),
    ],
    "Authorised": [
        lambda h: events(h, 2).append(Event(4.1, "change", "s", 4, [B2])),
        lambda h: events(h, 2).append(Event(4.1, "bookmark", "s", 4)),
        lambda h: events(h, 2)[0].put.append(A2),
        lambda h: events(h, 1)[3].removed.append(("2", "b")),
    ],
}


def test_a_good_history_is_good() -> None:
    assert violations(good()) == {}


def test_every_promise_can_be_broken() -> None:
    assert list(BREAKINGS) == list(CHECKERS)


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, breakings in BREAKINGS.items() for number in range(len(breakings))]
)
def test_each_breach_is_found(name: str, number: int) -> None:
    history = good()
    BREAKINGS[name][number](history)
    assert list(CHECKERS[name](history)) != []


def test_what_a_fault_delays_is_no_breach_of_bookmarkable() -> None:
    history = good()
    events(history, 1).append(Event(5.2 + BOOKMARK_SECONDS, "bookmark", "s", 4))
    history.faults.append(FaultRecord("stall", "a", 6.0, 8.0))
    assert violations(history) == {}
    history.faults[-1].target = "all"
    assert "Bookmarkable" in violations(history)


def test_a_reset_is_right_where_one_is_needed() -> None:
    """From another store, from the future, and where the database may have been away."""
    history = good()
    connection(history, 0, 1).since = ("s", 2)
    events(history, 0, 1)[0] = Event(4.1, "snapshot", "s", 4, [A3, B2], reset=True)
    assert set(violations(history)) == {"Resumable"}
    history.faults.append(FaultRecord("postgres restarted", None, 3.0, 3.5))
    assert violations(history) == {}
    history.faults.pop()
    connection(history, 0, 1).since = ("t", 2)
    assert violations(history) == {}
    connection(history, 0, 1).since = ("s", 5)
    assert "Resumable" not in violations(history)


def test_a_connection_on_which_nothing_came_changes_nothing() -> None:
    history = good()
    history.watches[0].connections.insert(1, Connection(2.6, None, ["key"], [], 2.7, "cut"))
    assert violations(history) == {}


def test_a_history_is_the_same_after_it_was_saved(tmp_path: Path) -> None:
    history = good()
    history.save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json") == history
    assert History.of(json.loads(json.dumps(asdict(history)))) == history


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
def test_what_broke_a_promise_once_is_found_again(file: Path) -> None:
    """Recorded under faults; the name begins with the promise. In the first one no watch ever reached a server."""
    assert file.stem.partition("-")[0] in violations(History.load(file))
