"""What one who watches components is told: the fleet as they may see it, and what they have not heard of. No I/O."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TypeVar

from .component_records import Component, ConfigRollout, Member
from .fleet_image import FleetImage, FleetUpdate
from .records import AliasPatterns, Selector

MAX_ENTRIES = 200
"""How many components and rollouts one event tells of at most: what is larger comes in several."""

_Entry = TypeVar("_Entry", Member, ConfigRollout)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEvent:
    """What somebody who watches is told.

    `first`: it is the beginning, and replaces all that is known. `complete`: with it all is told; False: more follows
    at once. `removed` are components that are gone, or that use nothing more of what is watched, as they were known;
    `removed_rollouts` those of configs that are gone.
    """

    first: bool
    complete: bool
    members: tuple[Member, ...]
    removed: tuple[Component, ...]
    rollouts: tuple[ConfigRollout, ...]
    removed_rollouts: tuple[ConfigRollout, ...]


class FleetWatch:
    """One who watches. What is new waits here by its id, however often it changes: conflated and bounded."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self._image = FleetImage()
        self._told_members: dict[str, Member] = {}
        self._told_rollouts: dict[str, ConfigRollout] = {}
        self._pending_members: set[str] = set()
        self._pending_rollouts: set[str] = set()
        self._first = True
        self._wakeup = asyncio.Event()

    @property
    def visible(self) -> AliasPatterns:
        """The aliases that are seen."""
        return self._selector.visible

    def begin(self, image: FleetImage) -> None:
        """Watch this image, all of which is new."""
        self._image = image
        self._everything()

    def see(self, visible: AliasPatterns) -> None:
        """See these aliases from now on, and no others."""
        self._selector = replace(self._selector, visible=visible)
        self._everything()

    def offer(self, update: FleetUpdate) -> None:
        """Something is other in the image than before."""
        self._pending_members.update(update.members)
        self._pending_rollouts.update(update.rollouts)
        self._wakeup.set()

    async def news(self) -> None:
        """Wait until there may be something to tell."""
        await self._wakeup.wait()

    def take(self) -> FleetEvent | None:
        """What is to be told next; None: it makes no difference here."""
        ids = _some(self._pending_rollouts, MAX_ENTRIES)
        rollouts = {id_: self._rollout(id_) for id_ in ids}
        puts, gone_rollouts = _difference(self._told_rollouts, rollouts)
        ids = _some(self._pending_members, MAX_ENTRIES - len(ids))
        members = {id_: self._member(id_) for id_ in ids}
        put_members, gone = _difference(self._told_members, members)
        complete = not (self._pending_members or self._pending_rollouts)
        if complete:
            self._wakeup.clear()
        if not (self._first or puts or gone_rollouts or put_members or gone):
            return None
        first, self._first = self._first, False
        return FleetEvent(
            first=first,
            complete=complete,
            members=tuple(sorted(put_members, key=lambda each: (each.component.name, each.component.id))),
            removed=tuple(member.component for member in gone),
            rollouts=tuple(sorted(puts, key=lambda each: each.alias)),
            removed_rollouts=tuple(gone_rollouts),
        )

    def _everything(self) -> None:
        self._pending_members = {*self._image.members, *self._told_members}
        self._pending_rollouts = {*self._image.rollouts, *self._told_rollouts}
        self._wakeup.set()

    def _member(self, id_: str) -> Member | None:
        """The component with those of its bindings that are watched; None: there is nothing to see of it."""
        member = self._image.members.get(id_)
        if member is None:
            return None
        if self._selector.everything and self.visible.patterns is None:
            return member
        seen = tuple(each for each in member.bindings if self._selector.matches(each.config_id or "", each.alias))
        return replace(member, bindings=seen) if seen else None

    def _rollout(self, id_: str) -> ConfigRollout | None:
        found = self._image.rollouts.get(id_)
        return found if found is not None and self._selector.matches(id_, found.alias) else None


def _some(pending: set[str], count: int) -> list[str]:
    """Take out up to so many."""
    return [pending.pop() for _ in range(min(count, len(pending)))]


def _difference(told: dict[str, _Entry], now: dict[str, _Entry | None]) -> tuple[list[_Entry], list[_Entry]]:
    """What is to be put and what is to be removed, for those who were told `told`, which is brought up to date."""
    put: list[_Entry] = []
    gone: list[_Entry] = []
    for id_, entry in now.items():
        known = told.get(id_)
        if entry == known:
            continue
        if entry is None:
            gone.append(told.pop(id_))
        else:
            told[id_] = entry
            put.append(entry)
    return put, gone
