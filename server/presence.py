"""Which components are connected to this process, and what they were sent: known at once, written in batches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..resolvers.access import Principal, Scope
from ..store import Acknowledgement, Component, Outcome, PresenceBatch, Selector, Store, StoreError, component_id
from . import log_context
from .graphql import protocol
from .presence_states import ComponentState, Link, selector_of

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.25
"""How long what is to be noted is collected: so many transactions a second are made at most, however many connect."""

BATCH_COMPONENTS = 500
"""How many components one transaction notes, so that other writers get through."""

RETRY_SECONDS = 1.0

component_link: ContextVar[Link | None] = ContextVar("component_link", default=None)
"""The component at the other end of the socket that is served in this context."""


class Presence:
    """The components of one server process. One task writes; while the database is away the others go on.

    `on_acknowledged` hears of each acknowledgement: the outcome, and the seconds from the commit of the version
    to it; None when the component connected later, or this process does not know it. It must not raise.
    """

    def __init__(
        self,
        store: Store,
        *,
        lease_seconds: float,
        on_acknowledged: Callable[[Outcome, float | None], None] = lambda _outcome, _seconds: None,
    ) -> None:
        self._store = store
        self._on_acknowledged = on_acknowledged
        self._server = secrets.token_hex(16)
        self._lease = timedelta(seconds=lease_seconds)
        self._states: dict[str, ComponentState] = {}
        self._changed: dict[str, ComponentState] = {}
        self._gone: set[str] = set()
        self._acknowledgements: dict[tuple[str, str, Outcome], _Spoken] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._renewal = self._loop.time() + lease_seconds / 3
        # Whether the database may say other things of this process than what is so.
        self._doubted = False
        self._wrote = False

    def connect(self, principal: Principal, described: protocol.Component) -> Callable[[], None]:
        """Note a component's new socket, in whose context this is called; what to call when the socket ends.

        Whoever may not report as a component is none.
        """
        if Scope.COMPONENT_REPORT not in principal.scopes:
            return lambda: None
        id_ = component_id(principal.subject, described.instance_id)
        component = Component(
            id=id_,
            instance_id=described.instance_id,
            name=described.name,
            kind=described.kind,
            library_version=described.library_version,
            labels=described.labels,
            subject=principal.subject,
            connected_at=datetime.now(UTC),
        )
        state = self._states.get(id_)
        if state is None:
            state = self._states[id_] = ComponentState(component)
            self._gone.discard(id_)
        else:
            state.describe(component)
        link = Link(state, self._store.mirror, self._note)
        component_link.set(link)
        log_context.component.set(id_)
        self._note(state)
        return lambda: self._disconnect(link)

    @property
    def connected(self) -> int:
        """How many components are connected to this process."""
        return len(self._states)

    def knows(self, component_id: str) -> bool:
        """See `Reports.knows`."""
        return component_id in self._states

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """See `Reports.acknowledge`."""
        self._on_acknowledged(acknowledgement.outcome, self._seconds_to(acknowledgement))
        # What is refused must not hide what was applied just before, and is in use.
        key = acknowledgement.component_id, acknowledgement.config_id, acknowledgement.outcome
        spoken = self._acknowledgements.get(key) or _Spoken(acknowledgement)
        if acknowledgement.version >= spoken.last.version:
            spoken.last = acknowledgement
            # Behind what it said before: of one version the last word counts.
            self._acknowledgements.pop(key, None)
            self._acknowledgements[key] = spoken
        self._wake.set()
        # Several may wait for it, and one that is cancelled must not take it from the others.
        await asyncio.shield(spoken.written)

    def _seconds_to(self, acknowledgement: Acknowledgement) -> float | None:
        state = self._states.get(acknowledgement.component_id)
        snapshot = self._store.mirror.snapshot(Selector(ids=frozenset({acknowledgement.config_id})))
        config = next(iter(snapshot.configs), None) if snapshot is not None else None
        if state is None or config is None or config.version != acknowledgement.version:
            return None
        if config.updated_at < state.component.connected_at:
            return None
        return (acknowledgement.at - config.updated_at).total_seconds()

    def _disconnect(self, link: Link) -> None:
        state = link.close()
        if not state.links:
            del self._states[state.component.id]
            self._gone.add(state.component.id)
            self._wake.set()

    def _note(self, state: ComponentState) -> None:
        self._changed[state.component.id] = state
        self._wake.set()

    @contextlib.asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Write in the background, and at the end that all that is here is gone."""
        task = asyncio.create_task(self._run(), name="presence")
        try:
            yield
        finally:
            self._stopping.set()
            self._wake.set()
            await task

    async def _run(self) -> None:
        failed = False
        while not self._stopping.is_set():
            if await self._due():
                await self._pause(BATCH_SECONDS)
            self._wake.clear()
            # A restored backup, or another server that was late, may have written something else.
            self._doubted |= self._loop.time() >= self._renewal
            try:
                await self._write()
                failed = False
            except Exception as error:
                # Whatever it is, the next components must not be lost with these.
                if not failed:
                    unexpected = None if isinstance(error, StoreError) else error
                    logger.warning("which components are connected was not written: %s", error, exc_info=unexpected)
                failed = True
                _refuse(self._acknowledgements, error)
                self._wake.set()
                await self._pause(RETRY_SECONDS)
        await self._leave()

    async def _due(self) -> bool:
        """Wait until there is something to write. False: until the lease has to be renewed, too."""
        try:
            async with asyncio.timeout_at(self._renewal if self._states else None):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _write(self) -> None:
        """Write all that is to be written, and renew the lease. Raises StoreError, and then keeps it."""
        if not (self._states or self._pending):
            return
        if self._doubted:
            await self._compare()
        await self._look_up()
        # What comes while it is written waits for the next time: a storm would keep this writing without a pause.
        waiting = max(len(self._changed), len(self._acknowledgements))
        for _ in range(0, max(waiting, 1), BATCH_COMPONENTS):
            await self._write_some()

    @property
    def _pending(self) -> bool:
        return bool(self._changed or self._gone or self._acknowledgements)

    async def _compare(self) -> None:
        present = await self._store.components.present(self._server)
        self._gone |= present.keys() - self._states.keys()
        absent = self._states.keys() - present.keys()
        # What connected to another server later, with a socket more or in the place of one that is dead, is that one's.
        lost = absent - await self._store.components.online(absent, now=datetime.now(UTC)) if absent else absent
        for id_, state in self._states.items():
            # That other one may not know yet that its socket is dead, and have noted what it sent there.
            if id_ in lost or present.get(id_, len(state.bound)) != len(state.bound):
                state.begin_anew()
                self._changed[id_] = state
        self._doubted = False
        self._renewal = self._loop.time() + self._lease.total_seconds() / 3

    async def _look_up(self) -> None:
        """Find out what is there for components that went on from a position, where memory does not tell."""
        asking = [state for state in self._changed.values() if state.unknown]
        references = sorted({reference for state in asking for reference in state.unknown})
        for begin in range(0, len(references), BATCH_COMPONENTS):
            some = references[begin : begin + BATCH_COMPONENTS]
            configs = (await self._store.snapshot(selector_of(some))).configs
            for state in asking:
                state.resolve(some, configs)

    async def _write_some(self) -> None:
        states = _take(self._changed, BATCH_COMPONENTS)
        gone = {id_ for id_ in self._gone if id_ in states or id_ not in self._changed}
        self._gone -= gone
        spoken = _take(self._acknowledgements, BATCH_COMPONENTS)
        now = datetime.now(UTC)
        notes = [state.take() for state in states.values()]
        batch = PresenceBatch(
            server=self._server,
            at=now,
            lease_until=now + self._lease,
            connected=[note.component for note in notes if note.connected],
            bound=[bound for note in notes for bound in note.bound],
            unbound=[(note.component.id, reference) for note in notes for reference in note.unbound],
            gone=gone,
            acknowledgements=[each.last for each in spoken.values()],
        )
        try:
            await self._store.components.write(batch)
        except BaseException as error:
            for (id_, state), note in zip(states.items(), notes, strict=True):
                # Of one that is gone by now, nothing has to be written any more.
                if self._states.get(id_) is state:
                    state.give_back(note)
                    self._changed[id_] = state
            self._doubted = True
            _refuse(spoken, error)
            raise
        self._wrote = True
        for id_, state in states.items():
            if state.unknown and self._states.get(id_) is state:
                # It went on from a position while others were looked up.
                self._note(state)
        for each in spoken.values():
            each.written.set_result(None)

    async def _leave(self) -> None:
        try:
            if self._pending:
                await self._write()
            if self._wrote:
                await self._store.components.leave(self._server, at=datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - whatever it is, the server stops, and the lease runs out
            logger.warning("that components are disconnected was not written: %s", error)
            _refuse(self._acknowledgements, error)


class _Spoken:
    """What a component applied last of a config, or refused last, and whether that is written."""

    def __init__(self, last: Acknowledgement) -> None:
        self.last = last
        self.written: asyncio.Future[None] = asyncio.get_running_loop().create_future()


def _refuse(acknowledgements: dict[_Key, _Spoken], error: BaseException) -> None:
    """Tell those who wait that what they said is not written: whoever said it may say it again."""
    for spoken in _take(acknowledgements, len(acknowledgements)).values():
        spoken.written.set_exception(error if isinstance(error, StoreError) else StoreError("it was not written"))
        # Retrieved, so that asyncio does not report it where nobody waits any more.
        spoken.written.exception()


def _take(pending: dict[_Key, _Value], count: int) -> dict[_Key, _Value]:
    return {key: pending.pop(key) for key in list(pending)[:count]}
