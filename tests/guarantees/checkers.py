"""One checker for each named guarantee: a pure function of a history, which gives what in it breaks the promise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from guarantees.history import Connection, Event, Held, History, Row, WatchHistory, Written
from guarantees.truth import Truth, replay, sees

BOOKMARK_SECONDS = 30.0
"""A quiet watch hears where it stands at least this often."""

DROP_SECONDS = 10.0
"""In less than this a subscriber that cannot be written to is dropped."""

BUFFER_BYTES = 6 * 2**20
"""What the kernel's buffers between two processes of one machine may hold: 4 MiB to be sent, and what was received."""


def durable(history: History) -> Iterator[str]:
    """What was answered for is in the log, and what was announced is, too."""
    truth = Truth(history)
    for mutation in history.mutations:
        if mutation.store is not None and mutation.revision is not None:
            rows = [row for row in truth.rows(mutation.store) if row.revision == mutation.revision]
            for written in mutation.writes:
                if not any(_does(row, written) for row in rows):
                    yield f"{mutation.kind} was answered with revision {mutation.revision}, but {written} is not there"
    for who, store, held in _announced(history):
        row = truth.row(store, held.id, held.version)
        if row is None or row.held is None:
            yield f"{who} was told {held}, which was never committed"


def _announced(history: History) -> Iterator[tuple[str, str, Held]]:
    for watch in history.watches:
        for connection in watch.connections:
            for event in connection.events:
                yield from ((watch.name, event.store, held) for held in event.put)
    for component in history.components:
        for applied in component.applied:
            if applied.held is not None and applied.store is not None:
                yield component.name, applied.store, applied.held


def _does(row: Row, written: Written) -> bool:
    """Whether the row is what a mutation says that it wrote."""
    alias, value = (row.held.alias, row.held.value) if row.held else (None, None)
    return (
        value == written.value
        and written.alias in (None, alias)
        and written.id in (None, row.id)
        and written.version in (None, row.version)
    )


def ordered(history: History) -> Iterator[str]:
    """Positions only grow, and a version has the same place in the order for everybody."""
    places: dict[tuple[str, str, int], int] = {}
    for watch in history.watches:
        position: tuple[str, int] | None = None
        for connection in watch.connections:
            position = connection.since
            for event in connection.events:
                yield from _event_in_order(event, position, watch.name)
                position = (event.store, event.revision)
                for held in event.put:
                    key = (event.store, held.id, held.version)
                    if places.setdefault(key, held.revision) != held.revision:
                        yield f"{watch.name} was told {held}, others that its revision is {places[key]}"
    for component in history.components:
        last: tuple[str | None, int] = (None, 0)
        for applied in component.applied:
            if applied.held is not None:
                if applied.store == last[0] and applied.held.revision <= last[1]:
                    yield f"{component.name} went back from revision {last[1]} to {applied.held}"
                last = (applied.store, applied.held.revision)


def _event_in_order(event: Event, position: tuple[str, int] | None, who: str) -> Iterator[str]:
    if any(held.revision > event.revision for held in event.put):
        yield f"{who} was told at revision {event.revision} what came later: {event}"
    if position is None:
        return
    if event.store != position[0]:
        if event.kind != "snapshot":
            yield f"{who} was at {position} and was led to another store without a reset: {event}"
        return
    if event.revision < position[1] or (event.kind == "change" and event.revision == position[1]):
        yield f"{who} was at {position} and was led back: {event}"
    if event.kind == "change" and any(held.revision <= position[1] for held in event.put):
        yield f"{who} was at {position} and was told again what is older: {event}"


def reliable(history: History) -> Iterator[str]:
    """At the end everybody has what there is."""
    store, revision = history.final
    state = Truth(history).at(store, revision)
    for watch in history.watches:
        if watch.over:
            continue
        last: Event | None = None
        held: dict[str, Held] = {}
        for _, last, _, held in replay(watch):  # noqa: B007 - the last ones are what counts
            pass
        if held != state.seen_by(watch):
            yield f"{watch.name} ended with {held} and not with {state.seen_by(watch)}"
        if last is None or (last.store, last.revision) != history.final:
            yield f"{watch.name} ended at {last and (last.store, last.revision)} and not at {history.final}"
    by_alias = {held.alias: held for held in state.configs.values() if held.value is not None}
    for component in history.components:
        final = component.applied[-1].held if component.applied else None
        if final != by_alias.get(component.alias):
            yield f"{component.name} ended with {final} and not with {by_alias.get(component.alias)}"


def atomic(history: History) -> Iterator[str]:
    """After each event a watch holds the state at the event's revision, whole; what one mutation writes has one
    revision; no component runs a mixture."""
    truth = Truth(history)
    yield from _whole_events(history, truth)
    yield from _whole_mutations(history)
    for component in history.components:
        for applied in component.applied:
            if applied.held is not None and applied.store is not None:
                row = truth.row(applied.store, applied.held.id, applied.held.version)
                if row is not None and row.held != applied.held:
                    yield f"{component.name} ran on {applied.held}, which is {row.held}"


def _whole_events(history: History, truth: Truth) -> Iterator[str]:
    for watch in history.watches:
        store, state = "", truth.at("", 0)
        for connection, event, _, held in replay(watch):
            if event.store != store or event is connection.events[0]:
                store, state = event.store, truth.at(event.store, 0)
            state.advance(event.revision)
            if held != state.seen_by(watch):
                yield f"{watch.name} after {event} holds {held} and not {state.seen_by(watch)}"


def _whole_mutations(history: History) -> Iterator[str]:
    revisions = {(row.store, row.held.value): row.revision for row in history.log if row.held is not None}
    stores = {row.store for row in history.log}
    for mutation in history.mutations:
        values = [written.value for written in mutation.writes if written.value is not None]
        for store in stores:
            found = {revisions.get((store, value)) for value in values}
            if len(found) > 1 or (mutation.outcome == "refused" and found - {None}):
                yield f"the {mutation.kind} of {values} was torn, or done although it was refused"


def unique(history: History) -> Iterator[str]:
    """No watch is told a version, or a removal, twice; but after a snapshot, which replaces all."""
    for watch in history.watches:
        told: dict[str, int] = {}
        for connection, event, before, _ in replay(watch):
            if event.kind == "snapshot":
                if event.reset != (connection.since is not None or event is not connection.events[0]):
                    yield f"{watch.name} was given a snapshot marked as if it was the other kind: {event}"
                told = {}
            for config_id, alias in event.removed:
                if config_id not in before:
                    yield f"{watch.name} was told again that {alias} is gone: {event}"
            for held in event.put:
                if held.version <= told.get(held.id, 0):
                    yield f"{watch.name} was told {held} again"
                told[held.id] = held.version


def resumable(history: History) -> Iterator[str]:
    """A watch goes on from where it was, or is told that it cannot."""
    truth = Truth(history)
    excused = any(fault.kind.startswith(("postgres", "database", "restore")) for fault in history.faults)
    for watch in history.watches:
        held: dict[str, Held] = {}
        for connection in watch.connections:
            if not connection.events:
                continue
            first = connection.events[0]
            yield from _resumed(truth, watch, connection, excused=excused)
            if connection.since is None:
                continue
            if first.kind != "snapshot" and first.store == connection.since[0]:
                held = truth.at(*connection.since).seen_by(watch)
                state = truth.at(first.store, first.revision).seen_by(watch)
                wanted = {config.id for config in state.values() if held.get(config.id) != config}
                if {config.id for config in first.put} != wanted:
                    yield f"{watch.name} since {connection.since} was told {first} and not of {wanted}"


def _resumed(truth: Truth, watch: WatchHistory, connection: Connection, *, excused: bool) -> Iterator[str]:
    first, since = connection.events[0], connection.since
    if since is None:
        if first.kind != "snapshot":
            yield f"{watch.name} began with no snapshot but {first}"
    elif first.kind == "snapshot":
        resumes = first.store == since[0] and since[1] <= truth.last_revision(since[0])
        if resumes and not excused:
            yield f"{watch.name} since {since} was reset without need: {first}"
    elif first.store != since[0]:
        yield f"{watch.name} since {since} was not reset: {first}"


def bookmarkable(history: History) -> Iterator[str]:
    """On a connection that nothing disturbs, something comes at least every 30 s."""
    for watch in history.watches:
        disturbed = [fault for fault in history.faults if fault.target in (None, watch.name)]
        for connection in watch.connections:
            times = [event.at for event in connection.events]
            if connection.closed_at is not None:
                times.append(connection.closed_at)
            for before, after in itertools.pairwise(times):
                overlap = sum(max(0.0, min(after, fault.ended_at) - max(before, fault.began_at)) for fault in disturbed)
                if after - before - overlap > BOOKMARK_SECONDS:
                    yield f"{watch.name} heard nothing for {after - before:.1f} s"


def bounded(history: History) -> Iterator[str]:
    """Who does not read costs no queue, and is dropped."""
    for frozen in history.frozen:
        if frozen.backlog_bytes > BUFFER_BYTES:
            yield f"{frozen.name} found {frozen.backlog_bytes} bytes that had been kept for it"
        if frozen.full_at is not None:
            until = frozen.thawed_at if frozen.dropped_at is None else frozen.dropped_at
            if until - frozen.full_at >= DROP_SECONDS:
                yield f"{frozen.name} was not dropped for {until - frozen.full_at:.1f} s"


def authorised(history: History) -> Iterator[str]:
    """Nobody is told what his credential does not open, nor what was written after it ended."""
    for watch in history.watches:
        for connection in watch.connections:
            ends = [history.credentials[name].ended_at for name in connection.credentials]
            first_after = {} if None in ends else _first_written(history, max(end for end in ends if end is not None))
            for event in connection.events:
                if event.revision >= first_after.get(event.store, event.revision + 1):
                    yield f"{watch.name} was told {event} after {connection.credentials[-1]} had ended"
                told = [(held.id, held.alias) for held in event.put] + event.removed
                for config_id, alias in told:
                    if not sees(watch, config_id, alias):
                        yield f"{watch.name} was told of {alias}, which it did not ask for or may not see"


def _first_written(history: History, after: float) -> dict[str, int]:
    """By store, the lowest revision of what somebody began to write after this moment."""
    first: dict[str, int] = {}
    for mutation in history.mutations:
        if mutation.store is not None and mutation.revision is not None and mutation.sent_at > after:
            first[mutation.store] = min(first.get(mutation.store, mutation.revision), mutation.revision)
    return first


CHECKERS: dict[str, Callable[[History], Iterator[str]]] = {
    "Durable": durable,
    "Ordered": ordered,
    "Reliable": reliable,
    "Atomic": atomic,
    "Unique": unique,
    "Resumable": resumable,
    "Bookmarkable": bookmarkable,
    "Bounded": bounded,
    "Authorised": authorised,
}


def violations(history: History) -> dict[str, list[str]]:
    """What breaks each guarantee, for those that something breaks."""
    found = {name: list(checker(history)) for name, checker in CHECKERS.items()}
    return {name: told for name, told in found.items() if told}
