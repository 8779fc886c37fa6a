"""Who of a group needs which event: positions and decisions. No I/O and no clock here; `fanout.py` drives it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from ...store import Position, WatchBookmark, WatchEvent, WatchSnapshot


class Need(StrEnum):
    """What a member that stands somewhere needs when the group goes on to its next event."""

    EVENT = "event"
    """The event itself: it is the difference from where the member stands."""
    NOTHING = "nothing"
    """It is there already, or further."""
    CATCH_UP = "catch up"
    """A difference of its own: part of the event it has, or something before the event it has not."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one event of a watch does to those who follow it: it brings them to `to`.

    It is the difference from `after`, where the event before it led, and from every later position before
    `first_revision`, the first change in it (None: there is none). One that `replaces` is a state and no difference.
    One that `bookmarks` has no news: it says that all is well.
    """

    after: Position
    to: Position
    first_revision: int | None
    replaces: bool
    bookmarks: bool = False

    @classmethod
    def of(cls, event: WatchEvent, after: Position) -> Step:
        """The step that this event is for those who follow a watch that stood at `after`."""
        if isinstance(event, WatchSnapshot):
            return cls(after, event.position, None, replaces=True)
        quiet = isinstance(event, WatchBookmark)
        return cls(after, event.position, event.first_revision, replaces=False, bookmarks=quiet)

    def need(self, position: Position) -> Need:
        """What who stands at `position` needs."""
        if position is self.after or position == self.after:
            return Need.EVENT
        if self.bookmarks and position == self.to:
            # It came here by itself, and may have heard nothing for as long as the others.
            return Need.EVENT
        if position.store_id == self.to.store_id and position.revision >= self.to.revision:
            return Need.NOTHING
        if self.replaces:
            return Need.EVENT
        if position.store_id != self.after.store_id or position.revision < self.after.revision:
            return Need.CATCH_UP
        if self.first_revision is None or position.revision < self.first_revision:
            return Need.EVENT
        return Need.CATCH_UP


class Standing(Protocol):
    """Somebody who stands at a position."""

    @property
    def position(self) -> Position | None: ...


M = TypeVar("M", bound=Standing)


class InStep(Generic[M]):
    """The members of a group that need nothing but its next event. `position` is where its last event led."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self._members: dict[M, None] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[M]:
        return iter(self._members)

    def __contains__(self, member: M) -> bool:
        return member in self._members

    def join(self, member: M) -> bool:
        """Take in who has all that the group was told; False for who has not.

        One that stands in another store is ahead: it was told at the feed's position, and the group will be.
        """
        position = member.position
        if position is None:
            return False
        if position.store_id == self.position.store_id and position.revision < self.position.revision:
            return False
        self._members[member] = None
        return True

    def leave(self, member: M) -> None:
        """Let go of one, if it is here."""
        self._members.pop(member, None)

    def go_on(self, event: WatchEvent) -> tuple[Step, list[M]]:
        """Stand where this event leads. The step that it is, and who may need it: each may leave before its turn."""
        step = Step.of(event, self.position)
        self.position = step.to
        return step, list(self._members)
