"""Groups of subscribers who ask for the same: each event is executed and written as JSON once, and sent to all of them.

A `Group` follows one watch for all its members. Those in step are given each event as it comes; one that was away, or
cannot be written to at once, catches up from its own position and joins again. What the members need is decided in
`steps.py`; a `Member` (`member.py`) is one of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from graphql import OperationType

from ...resolvers.access import Principal, Resumed
from ...store import Position, Selector, WatchChange, WatchEvent
from .deliveries import Deliveries
from .execution import Executor, MakeContext, Operation, Result
from .protocol import next_message
from .sharing import GroupKey, Rights, Sharing
from .steps import InStep, Need, Standing, Step
from .uvicorn_protocol import ready_frame

logger = logging.getLogger(__name__)

SLICE = 200
"""How many members are written to before others get their turn."""

KEPT_FRAMES = 16
"""Clients number their operations: most of them use few ids, and share the frame of each."""

KEPT_ANSWERS = 16
"""For so many positions a group keeps the event that leads from there to where the feed is."""


@dataclass(frozen=True, slots=True)
class Told:
    """A result of a watch; it shows `event`, of the watch of `selector`, by the rights of `principal`."""

    result: Result
    selector: Selector
    event: WatchEvent
    principal: Principal


async def follow(
    executor: Executor, operation: Operation, context: Any, resumed: Resumed | None
) -> AsyncGenerator[Told | Result, None]:
    """The results of an operation that can be shared. Nobody hears of components; one that shows no event is a Result.

    `resumed` None: the watch begins as the operation's arguments say.
    """
    seen: tuple[Selector, WatchEvent, Principal] | None = None

    def observe(selector: Selector, event: WatchEvent) -> None:
        nonlocal seen
        seen = selector, event, context.principal

    context.component, context.resumed, context.observe = None, resumed, observe
    try:
        async with aclosing(executor.stream(operation, context)) as results:
            async for result in results:
                yield result if seen is None or not result.executed else Told(result, *seen)
    finally:
        context.observe = None


class SharedEvent:
    """An event whose JSON is ready, for whoever needs it."""

    __slots__ = ("_frames", "event", "payload", "selector")

    def __init__(self, told: Told) -> None:
        self.event = told.event
        self.selector = told.selector
        self.payload = told.result.payload
        self._frames: dict[str, bytes] = {}

    def message(self, operation_id: str) -> bytes:
        """The event as a message to the operation with this id."""
        return next_message(operation_id, self.payload)

    def frame(self, operation_id: str) -> bytes:
        """The message as a frame of the websocket protocol."""
        frame = self._frames.get(operation_id)
        if frame is None:
            frame = ready_frame(self.message(operation_id))
            if len(self._frames) < KEPT_FRAMES:
                self._frames[operation_id] = frame
        return frame

    @property
    def age_seconds(self) -> float | None:
        """How long ago its latest change was made; None when it holds none, or none that says so."""
        at = self.event.at if isinstance(self.event, WatchChange) else None
        return None if at is None else (datetime.now(UTC) - at).total_seconds()


class Follower(Standing, Protocol):
    """What a group wants of its members: see `member.Member`."""

    def take(self, event: SharedEvent, need: Need) -> bool:
        """The group goes on, and this one, which is in step, needs `need`; whether it was sent the event."""

    def note(self, event: WatchEvent) -> None:
        """Tell of the event that it was sent; called when all members have been."""

    def part(self) -> None:
        """The group is over: go on without it."""


class Group:
    """The subscribers with one key, their watch, and the events that lead to where it stands.

    It lives from its first member to its last, or until an execution fails: what is denied, or broken, is told to
    each member by an operation of its own. What is executed has a context that is made of the key alone.
    """

    def __init__(
        self, key: GroupKey, operation: Operation, executor: Executor, make_context: MakeContext, sharing: Sharing
    ) -> None:
        self.key = key
        self.operation = operation
        self.over = False
        self._executor = executor
        self._make_context = make_context
        self._sharing = sharing
        self._in_step: InStep[Follower] | None = None
        self._answers: dict[Position | None, asyncio.Future[SharedEvent | None]] = {}

    def join(self, member: Follower) -> bool:
        """Have the member be given what comes from now on; False when it has to catch up first."""
        return not self.over and self._in_step is not None and self._in_step.join(member)

    def leave(self, member: Follower) -> None:
        """Give the member nothing more, if it is in step."""
        if self._in_step is not None:
            self._in_step.leave(member)

    def abandon(self) -> None:
        """Nobody is here any more, and nobody comes. The caller cancels `run`."""
        self.over = True
        for answer in self._answers.values():
            answer.cancel()

    async def run(self, since: Position | None) -> None:
        """Follow the watch, from the position of the first member, until cancelled or until it fails."""
        first: asyncio.Future[SharedEvent | None] = asyncio.get_running_loop().create_future()
        self._answers[since] = first
        try:
            async with aclosing(self._follow(since)) as events:
                async for event in events:
                    if self._in_step is None:
                        self._in_step = InStep(event.event.position)
                        first.set_result(event)
                    else:
                        await self._deliver(event)
        except Exception:
            logger.exception("a subscription that was shared broke: its members are served one by one")
        self.over = True
        if not first.done():
            first.set_result(None)
        for member in list(self._in_step or ()):
            member.part()

    async def catch_up(self, since: Position | None) -> SharedEvent | None:
        """What leads from `since` (None: from nothing) to where the feed is; None when it cannot be shared.

        All that was committed before the call is in it.
        """
        wanted = await self._sharing.current()
        while not self.over:
            answer = self._answers.get(since)
            begun = answer is None or (answer.done() and not _reaches(_result(answer), wanted))
            if answer is None or begun:
                answer = self._ask(since)
            # Others may wait for it too, and who waits is not cancelled with it, as `shield` would have it.
            await asyncio.wait({answer})
            event = _result(answer)
            if event is None or begun or _reaches(event, wanted):
                return event
        return None

    def _ask(self, since: Position | None) -> asyncio.Future[SharedEvent | None]:
        self._answers.pop(since, None)
        if len(self._answers) >= KEPT_ANSWERS:
            del self._answers[next(iter(self._answers))]
        answer = asyncio.create_task(self._answer(since), name="catch-up", context=contextvars.Context())
        self._answers[since] = answer
        return answer

    async def _answer(self, since: Position | None) -> SharedEvent | None:
        try:
            async with aclosing(self._follow(since)) as events:
                return await anext(events, None)
        except Exception:
            logger.exception("catching up could not be shared")
            return None

    async def _follow(self, since: Position | None) -> AsyncGenerator[SharedEvent, None]:
        """The events from a position on, up to the first that is not the same for all."""
        context = self._make_context(self.key.rights.principal)
        resumed = None if since is None else Resumed(since, self.key.rights.aliases)
        async with aclosing(follow(self._executor, self.operation, context, resumed)) as results:
            async for told in results:
                if isinstance(told, Result) or told.result.errors:
                    return
                yield SharedEvent(told)

    async def _deliver(self, event: SharedEvent) -> None:
        """Give the event to all who are in step: a slice of them, then whoever else waits for the loop."""
        if self._in_step is None:
            raise RuntimeError("the first event is where members begin")
        step, members = self._in_step.go_on(event.event)
        self._answers.clear()
        sent: list[Follower] = []
        for begin in range(0, len(members), SLICE):
            if begin:
                await asyncio.sleep(0)
            sent += self._deliver_to(members[begin : begin + SLICE], event, step)
        for number, member in enumerate(sent, 1):
            member.note(event.event)
            if not number % SLICE:
                await asyncio.sleep(0)

    def _deliver_to(self, members: list[Follower], event: SharedEvent, step: Step) -> list[Follower]:
        sent = []
        for member in members:
            if self._in_step is None or member not in self._in_step or member.position is None:
                continue  # it left since
            need = step.need(member.position)
            if need is not Need.NOTHING and member.take(event, need):
                sent.append(member)
        if sent:
            self._sharing.deliveries.delivered(len(sent), event.age_seconds)
        return sent


def _result(answer: asyncio.Future[SharedEvent | None]) -> SharedEvent | None:
    return None if answer.cancelled() else answer.result()


def _reaches(event: SharedEvent | None, wanted: Position) -> bool:
    if event is None:
        return False
    position = event.event.position
    return position.store_id == wanted.store_id and position.revision >= wanted.revision


@dataclass(frozen=True, slots=True)
class Share:
    """How one subscriber asks for what others may ask for too: the operation without its position, and the position."""

    key: GroupKey
    operation: Operation
    since: Position | None


class Groups:
    """The groups of one endpoint. `executor` tells nobody of what it refuses: it is asked by nobody in particular."""

    def __init__(self, executor: Executor, make_context: MakeContext, sharing: Sharing) -> None:
        self._executor = executor
        self._make_context = make_context
        self._sharing = sharing
        self._groups: dict[GroupKey, Group] = {}
        self._members: dict[Group, int] = {}
        self._tasks: dict[Group, asyncio.Task[None]] = {}

    @property
    def deliveries(self) -> Deliveries:
        """Who hears what becomes of events."""
        return self._sharing.deliveries

    @property
    def members(self) -> int:
        """How many subscriptions are served by them."""
        return sum(self._members.values())

    def __len__(self) -> int:
        return len(self._groups)

    def share(self, operation: Operation, principal: Principal) -> Share | None:
        """How the principal can share the operation; None when it has to have it alone."""
        shareable, request = operation.shareable, operation.request
        if shareable is None or request.extensions or operation.type is not OperationType.SUBSCRIPTION:
            return None
        variables = dict(request.variables)
        since = variables.pop(shareable.position_variable, None) if shareable.position_variable else None
        try:
            position = None if since is None else Position.parse(since)
        except (TypeError, ValueError):
            return None  # whoever executes it says what is wrong
        key = GroupKey.of(operation.document, operation.name, variables, Rights.of(principal))
        return Share(key, replace(operation, request=replace(request, variables=variables)), position)

    def enter(self, share: Share) -> Group:
        """The group of this key, with one more member; it is made if there is none."""
        group = self._groups.get(share.key)
        if group is None:
            group = Group(share.key, share.operation, self._executor, self._make_context, self._sharing)
            self._groups[share.key] = group
            self._members[group] = 0
            # Its context is empty: what is executed for all is executed for nobody's socket.
            task = asyncio.create_task(group.run(share.since), name="group", context=contextvars.Context())
            self._tasks[group] = task
            task.add_done_callback(lambda _: self._ended(group))
        self._members[group] += 1
        return group

    def exit(self, group: Group) -> None:
        """One member less; without any, the group's watch ends."""
        self._members[group] -= 1
        if not self._members[group]:
            del self._members[group]
            self._forget(group)
            group.abandon()
            if task := self._tasks.get(group):
                task.cancel()

    async def close(self) -> None:
        """Return when the groups that have no members any more have ended."""
        ending = [task for group, task in self._tasks.items() if group not in self._members]
        await asyncio.gather(*ending, return_exceptions=True)

    def _ended(self, group: Group) -> None:
        del self._tasks[group]
        self._forget(group)

    def _forget(self, group: Group) -> None:
        # Another may have its place by now.
        if self._groups.get(group.key) is group:
            del self._groups[group.key]
