"""What was true at each revision, by the change log, and what a watch must have been told of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from guarantees.history import Connection, Event, Held, History, Row, WatchHistory


class Truth:
    """The change logs of all stores of a run (there are several when a backup was restored)."""

    def __init__(self, history: History) -> None:
        self._rows: dict[str, list[Row]] = {}
        for row in sorted(history.log, key=lambda row: (row.store, row.revision, row.id, row.version)):
            self._rows.setdefault(row.store, []).append(row)
        self._by_version = {(row.store, row.id, row.version): row for row in history.log}

    def rows(self, store: str) -> list[Row]:
        """In the order of their revisions."""
        return self._rows.get(store, [])

    def row(self, store: str, config_id: str, version: int) -> Row | None:
        return self._by_version.get((store, config_id, version))

    def last_revision(self, store: str) -> int:
        rows = self.rows(store)
        return rows[-1].revision if rows else 0

    def at(self, store: str, revision: int) -> State:
        state = State(self.rows(store))
        state.advance(revision)
        return state


class State:
    """All configs by id, at a revision that only grows."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._next = 0
        self.configs: dict[str, Held] = {}

    def advance(self, revision: int) -> None:
        while self._next < len(self._rows) and self._rows[self._next].revision <= revision:
            row = self._rows[self._next]
            self._next += 1
            if row.held is None:
                self.configs.pop(row.id, None)
            else:
                self.configs[row.id] = row.held

    def seen_by(self, watch: WatchHistory) -> dict[str, Held]:
        return {held.id: held for held in self.configs.values() if sees(watch, held.id, held.alias)}


def sees(watch: WatchHistory, config_id: str, alias: str) -> bool:
    """Whether a config of this alias is what the watch names, and the watch may see it."""
    if watch.visible is not None and not any(fnmatchcase(alias, pattern) for pattern in watch.visible):
        return False
    if watch.aliases is None and watch.ids is None:
        return True
    return alias in (watch.aliases or ()) or config_id in (watch.ids or ())


def replay(watch: WatchHistory) -> Iterator[tuple[Connection, Event, dict[str, Held], dict[str, Held]]]:
    """(connection, event, what the subscriber held before it, what it holds after it), event by event."""
    held: dict[str, Held] = {}
    for connection in watch.connections:
        for event in connection.events:
            before = held
            held = apply(held, event)
            yield connection, event, before, held


def apply(held: dict[str, Held], event: Event) -> dict[str, Held]:
    """What somebody who held this holds after the event."""
    if event.kind == "bookmark":
        return held
    after = {} if event.kind == "snapshot" else dict(held)
    for config_id, _ in event.removed:
        after.pop(config_id, None)
    after.update(by_id(event.put))
    return after


def by_id(configs: Iterable[Held]) -> dict[str, Held]:
    return {held.id: held for held in configs}
