"""What one subscriber is told: its events, and its changes that wait. No I/O and no clock here; `feed.py` drives it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .records import Change, ModelConfig, Position, Selector


@dataclass(frozen=True, slots=True)
class RemovedConfig:
    """A config that left what the watch names. `alias` is the one under which the subscriber knew it."""

    id: str
    alias: str


@dataclass(frozen=True, slots=True)
class WatchSnapshot:
    """All that the watch names, at `position`. The subscriber drops whatever it does not contain.

    `reset` is True when the position that the subscriber came with could not be resumed from.
    """

    position: Position
    configs: tuple[ModelConfig, ...]
    reset: bool = False


@dataclass(frozen=True, slots=True)
class WatchChange:
    """The difference between the subscriber's position and `position`. `removed` comes first in meaning: an alias may
    leave one config and enter another in the same change.

    `first_revision` is that of the first change, since the watch's last event, to what it names: for whoever stands
    between that event and this revision, the difference is the same. `at` is when the latest of the changes was made.
    """

    position: Position
    put: tuple[ModelConfig, ...]
    removed: tuple[RemovedConfig, ...]
    first_revision: int | None = field(default=None, compare=False)
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WatchBookmark:
    """The subscriber is current as of `position`.

    `first_revision` as in WatchChange: of changes that cancelled each other out. None when there were none.
    """

    position: Position
    first_revision: int | None = field(default=None, compare=False)


WatchEvent = WatchSnapshot | WatchChange | WatchBookmark


@dataclass(slots=True)
class _Entry:
    alias_before: str | None
    first_revision: int
    latest: Change


class PendingChanges:
    """What a subscriber has not been told yet: one entry per config, however many changes and however long it takes.

    An entry keeps two ends, the alias at the subscriber's position and the latest change; what lies between is of no
    consequence, because a configuration is a state and not a queue of events.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._entries: dict[str, _Entry] = {}
        for change in changes:
            self.add(change)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first_revision(self) -> int | None:
        """That of the first change in it, as far back as the subscriber's position; None when it is empty."""
        return min((entry.first_revision for entry in self._entries.values()), default=None)

    @property
    def at(self) -> datetime | None:
        """When the latest change in it was made; None when it is empty."""
        return max((entry.latest.at for entry in self._entries.values()), default=None)

    def add(self, change: Change) -> None:
        """Take up a change that is newer than all before it."""
        entry = self._entries.get(change.config_id)
        if entry is None:
            self._entries[change.config_id] = _Entry(change.previous_alias, change.revision, change)
        else:
            entry.latest = change

    def follow(self, later: PendingChanges) -> None:
        """Take up all of `later`, every change of which is newer than those here."""
        for config_id, entry in later._entries.items():
            known = self._entries.get(config_id)
            if known is None:
                self._entries[config_id] = entry
            else:
                known.latest = entry.latest

    def rebase(self, revision: int, aliases: Mapping[str, str]) -> None:
        """Make `revision` the subscriber's position; `aliases` are those, by config id, that it knows there."""
        for config_id, entry in list(self._entries.items()):
            if entry.latest.revision <= revision:
                del self._entries[config_id]
            elif entry.first_revision <= revision:
                entry.alias_before = aliases.get(config_id)

    def take(self, selector: Selector) -> tuple[tuple[ModelConfig, ...], tuple[RemovedConfig, ...]]:
        """Empty it into (put, removed) as `selector` sees them, each in the order of their changes."""
        entries = sorted(self._entries.items(), key=lambda item: (item[1].latest.revision, item[0]))
        self._entries.clear()
        put: list[ModelConfig] = []
        removed: list[RemovedConfig] = []
        for config_id, entry in entries:
            config = entry.latest.config
            if config is not None and selector.matches(config_id, config.alias):
                put.append(config)
            elif entry.alias_before is not None and selector.matches(config_id, entry.alias_before):
                removed.append(RemovedConfig(config_id, entry.alias_before))
        return tuple(put), tuple(removed)


@dataclass(eq=False, slots=True)
class Watch:
    """One subscriber's place at the feed. `wakeup` is set whenever something was added to `pending`.

    `outdated` says that the subscriber's position is of another store: it needs a snapshot, whatever is pending.
    `first_revision` is that of the first change since the last event, among those that are not pending any more because
    they cancelled each other out; None when there were none.
    """

    selector: Selector
    pending: PendingChanges = field(default_factory=PendingChanges)
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    outdated: bool = False
    first_revision: int | None = None

    def reset(self) -> None:
        """Another store has taken the place of the one that the subscriber knows."""
        self.pending = PendingChanges()
        self.first_revision = None
        self.outdated = True
        self.wakeup.set()

    def offer(self, change: Change) -> None:
        self.pending.add(change)
        self.wakeup.set()

    def take(self, position: Position) -> WatchChange | None:
        """The change from the subscriber's position to `position`, None when it makes no difference to it."""
        self.wakeup.clear()
        at = self.pending.at
        if self.first_revision is None:
            self.first_revision = self.pending.first_revision
        put, removed = self.pending.take(self.selector)
        return WatchChange(position, put, removed, self._end_of_step(), at) if put or removed else None

    def bookmark(self, position: Position) -> WatchBookmark:
        """What to say when `take` gave nothing, and it is time to say something."""
        return WatchBookmark(position, self._end_of_step())

    def _end_of_step(self) -> int | None:
        first, self.first_revision = self.first_revision, None
        return first


class WatchIndex:
    """The watches of a feed, found by what they name, so that a change costs only those that it concerns."""

    def __init__(self) -> None:
        self._all: set[Watch] = set()
        self._by_id: dict[str, set[Watch]] = {}
        self._by_alias: dict[str, set[Watch]] = {}

    def add(self, watch: Watch) -> None:
        for index, key in self._places(watch.selector):
            index.setdefault(key, set()).add(watch)
        if watch.selector.everything:
            self._all.add(watch)

    def remove(self, watch: Watch) -> None:
        for index, key in self._places(watch.selector):
            index[key].discard(watch)
            if not index[key]:
                del index[key]
        self._all.discard(watch)

    def everyone(self) -> set[Watch]:
        """All watches."""
        return self._all.union(*self._by_id.values(), *self._by_alias.values())

    def concerned(self, change: Change) -> set[Watch]:
        """The watches that name the config as it was before the change or as it is after it."""
        watches = self._all | self._by_id.get(change.config_id, set())
        for alias in (change.previous_alias, change.config.alias if change.config else None):
            if alias is not None:
                watches = watches | self._by_alias.get(alias, set())
        return watches

    def _places(self, selector: Selector) -> Iterator[tuple[dict[str, set[Watch]], str]]:
        for config_id in selector.ids or ():
            yield self._by_id, config_id
        for alias in selector.aliases or ():
            yield self._by_alias, alias
