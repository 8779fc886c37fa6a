"""One subscription of one socket that is served together with others, as far as it can be."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import replace
from enum import StrEnum
from typing import Any, Protocol

from ...resolvers.access import Principal, Resumed
from ...resolvers.presence import ComponentLink
from ...store import Position, Selector, WatchEvent
from .errors import format_exception
from .execution import Executor, Result
from .fanout import Group, Groups, Share, SharedEvent, follow
from .protocol import complete_frame, error_frame, next_frame
from .sharing import Rights
from .steps import Need


class Unsendable(Exception):
    """A frame must not, or cannot, be sent: the peer left, the connection is closing, or its operation is over."""


class Socket(Protocol):
    """What a member needs of its connection."""

    @property
    def executor(self) -> Executor:
        """What executes for this connection alone."""

    def write(self, frame: bytes) -> bool:
        """Write a frame at once. False, and nothing is written: it cannot be, or must not."""

    async def send(self, text: str, operation_id: str) -> None:
        """Write a text of the current task's operation as soon as the peer reads. Raises Unsendable."""

    def start(self, running: Coroutine[Any, Any, None], operation_id: str) -> asyncio.Task[None]:
        """Run it in the context of the connection."""

    def context(self) -> AbstractContextManager[Any]:
        """A context for resolvers, whose principal is whoever asks."""

    def ended(self, operation_id: str) -> None:
        """The last frame of the operation is sent, or cannot be."""


class Way(StrEnum):
    """How a member is served."""

    SHARED = "shared"
    """By its group."""
    MOVING = "moving"
    """By itself, because its rights have changed, until it was told what it may see now; then by another group."""
    ALONE = "alone"
    """By itself, because what it asks for cannot be shared after all."""


class Member:
    """A subscription that can be shared. `position` is where its last event led, before it where it asks to begin.

    While it is in step with its group it has no task: the group writes to it. Whatever it is that ends this, a task
    goes on from its position: it catches up and joins again, or serves it alone.
    """

    __slots__ = (
        "_began",
        "_component",
        "_group",
        "_groups",
        "_selector",
        "_share",
        "_socket",
        "_way",
        "id",
        "position",
        "task",
    )

    def __init__(self, id_: str, share: Share, groups: Groups, socket: Socket, component: ComponentLink | None) -> None:
        # Most clients number their operations: of thousands of members few ids are different.
        self.id = sys.intern(id_)
        self.position: Position | None = share.since
        self.task: asyncio.Task[None] | None = None
        self._share = share
        self._groups = groups
        self._socket = socket
        self._component = component
        self._group: Group | None = None
        self._way = Way.SHARED
        self._began = False
        # Of the watch that the component was said to have; None while it has none.
        self._selector: Selector | None = None

    def start(self, missed: SharedEvent | None = None) -> None:
        """Begin, or go on, in a task, until it is in step; `missed` could not be written at once."""
        self.task = self._socket.start(self._run(missed), self.id)

    def end(self) -> None:
        """Nothing is wanted any more. The caller cancels the task, if there is one."""
        self._leave_group()
        if self._component is not None and self._selector is not None:
            self._component.leaves(self._selector)
        self._selector = self._component = None

    def renewed(self, principal: Principal) -> None:
        """Somebody else's rights count from now on, or the same ones."""
        rights = Rights.of(principal)
        if rights == self._share.key.rights or self._way is not Way.SHARED:
            return
        self._leave_group()
        if self._began:
            self._way = Way.MOVING
            if self.task is None:
                self.start()
        else:
            self._ask_with(rights)

    def take(self, event: SharedEvent, need: Need) -> bool:
        """See `fanout.Follower`."""
        if need is Need.EVENT and self._socket.write(event.frame(self.id)):
            self.position = event.event.position
            return True
        if self._group is not None:  # else the writing has ended it: the time of its token is over
            self._group.leave(self)
            if need is Need.EVENT:
                self._groups.deliveries.fell_behind()
            self.start(event if need is Need.EVENT else None)
        return False

    def note(self, event: WatchEvent) -> None:
        """See `fanout.Follower`."""
        if self._component is not None and self._selector is not None:
            self._component.delivered(self._selector, event)

    def part(self) -> None:
        """See `fanout.Follower`."""
        if self._group is not None:
            self._group.leave(self)
        self._way = Way.ALONE
        self.start()

    async def _run(self, missed: SharedEvent | None) -> None:
        try:
            if missed is not None and self._way is Way.SHARED:
                await self._tell(missed, missed.age_seconds)
            last = await self._until_in_step()
            if last is None:
                self.task = None
                return
            await self._socket.send(last, self.id)
        except Unsendable:
            pass
        except Exception as error:  # noqa: BLE001 - a bug ends its operation, not the connection
            with suppress(Unsendable):
                await self._socket.send(error_frame(self.id, [format_exception(error)]), self.id)
        self._socket.ended(self.id)

    async def _until_in_step(self) -> str | None:
        """Catch up with the group, or do without it; the last frame of the operation when it is over."""
        while True:
            if self._way is not Way.SHARED:
                last = await self._follow_alone()
                if last is not None:
                    return last
            group = self._enter_group()
            if self._began and group.join(self):
                return None
            event = await group.catch_up(self.position)
            if self._group is not group:
                continue  # its rights have changed
            if event is None:
                self._way = Way.ALONE
                continue
            if self.position is not None:
                self._groups.deliveries.caught_up()
            # What was committed while it was away says nothing of how fast events are delivered.
            await self._tell(event, None)

    async def _tell(self, event: SharedEvent, age_seconds: float | None) -> None:
        self._begin(event.selector)
        if not self._socket.write(event.frame(self.id)):
            await self._socket.send(event.message(self.id).decode(), self.id)
        self._stand_at(event.event)
        self._groups.deliveries.delivered(1, age_seconds)

    async def _follow_alone(self) -> str | None:
        """Serve it by an operation of its own; the last frame, or None when a group can go on from its position."""
        self._leave_group()
        share = self._share
        resumed = None if self.position is None else Resumed(self.position, share.key.rights.aliases)
        with self._socket.context() as context:
            async with aclosing(follow(self._socket.executor, share.operation, context, resumed)) as results:
                async for told in results:
                    result = told if isinstance(told, Result) else told.result
                    if not result.executed:
                        return error_frame(self.id, result.errors)
                    if not isinstance(told, Result):
                        self._begin(told.selector)
                    await self._socket.send(next_frame(self.id, result.payload), self.id)
                    if isinstance(told, Result):
                        continue
                    self._stand_at(told.event)
                    self._groups.deliveries.delivered(1, None)
                    if result.errors:
                        self._way = Way.ALONE
                    # It may be another's by now, who sees something else.
                    elif self._way is Way.MOVING and told.principal is context.principal:
                        self._ask_with(Rights.of(told.principal))
                        self._way = Way.SHARED
                        return None
        return complete_frame(self.id)

    def _begin(self, selector: Selector) -> None:
        if self._component is not None and self._selector is None:
            self._selector = selector
            self._component.watches(selector)

    def _stand_at(self, event: WatchEvent) -> None:
        self.position = event.position
        self._began = True
        self.note(event)

    def _ask_with(self, rights: Rights) -> None:
        self._share = replace(self._share, key=replace(self._share.key, rights=rights))

    def _enter_group(self) -> Group:
        if self._group is None:
            self._group = self._groups.enter(replace(self._share, since=self.position))
            # What the group has is equal, and kept once.
            self._share = Share(self._group.key, self._group.operation, None)
        return self._group

    def _leave_group(self) -> None:
        if self._group is not None:
            group, self._group = self._group, None
            group.leave(self)
            self._groups.exit(group)
