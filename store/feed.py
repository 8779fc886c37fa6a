"""The feed: one per server process. It tails the change log and wakes the watches: a wake-up wakes, the log tells."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Protocol

from . import tracing
from .errors import Compacted, StoreError, StoreUnavailable
from .mirror import Mirror
from .records import Change, Commit, Position, Selector, Snapshot
from .watch import PendingChanges, Watch, WatchEvent, WatchIndex, WatchSnapshot

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0

# Of those that come while the log is being read. What is forgotten is read.
_KEPT_COMMITS = 64


class ChangeLog(Protocol):
    """What the feed asks of the store."""

    @property
    def id(self) -> str: ...

    @property
    def mirror(self) -> Mirror: ...

    async def load_mirror(self) -> int: ...

    async def changes(self, *, after: int, concerning: Selector | None = None) -> list[Change]: ...

    async def snapshot(self, selector: Selector) -> Snapshot: ...

    async def follow_commits(self, wake: Callable[[], None], *, poll_seconds: float) -> None: ...


class Feed:
    """Brings every committed change to every watch of this process.

    `poll_seconds` is how long a commit of another process may stay unseen where the database does not tell of it, and
    how long to wait before a log that could not be read is tried again. A watch that has nothing to say for
    `bookmark_seconds` says where it stands.
    """

    def __init__(self, store: ChangeLog, *, poll_seconds: float = 0.2, bookmark_seconds: float = 25.0) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._bookmark_seconds = bookmark_seconds
        self._watches = WatchIndex()
        self._wakeup = asyncio.Event()
        self._commits: deque[Commit] = deque(maxlen=_KEPT_COMMITS)
        self._read_due = True
        self._reading = asyncio.Lock()
        # A reading that has not begun: all who ask until then share it.
        self._next_reading: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._store_id = ""
        self._revision = 0
        self._error: Exception | None = None
        self._settle: Callable[[], Awaitable[None]] | None = None

    def deliver_after(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Have `settle` awaited between reading and delivering: whose access was taken away before is then served no
        more. While it raises StoreError the watches wait, and new ones raise it.
        """
        self._settle = settle

    async def _settled(self) -> None:
        if self._settle is not None:
            await self._settle()

    @property
    def revision(self) -> int:
        """The revision that the watches have been told of."""
        return self._revision

    @property
    def watching(self) -> int:
        """How many watches there are."""
        return len(self._watches.everyone())

    @property
    def pending(self) -> int:
        """How many changes the watches have not taken yet."""
        return sum(len(watch.pending) for watch in self._watches.everyone())

    @property
    def error(self) -> Exception | None:
        """Why the change log could not be read the last time; None while it can be."""
        return self._error

    async def start(self) -> None:
        """Begin to follow the log from its end. Raises StoreError when it cannot be read."""
        self._revision = await self._store.load_mirror()
        self._store_id = self._store.id
        follow = self._store.follow_commits(self.wake, poll_seconds=self._poll_seconds)
        self._tasks = [
            asyncio.create_task(self._run(), name="modelwire feed"),
            asyncio.create_task(follow, name="modelwire feed's listener"),
        ]

    async def stop(self) -> None:
        """Stop following. Open watches hear nothing more; whoever holds them closes them."""
        tasks = [*self._tasks, *([] if self._next_reading is None else [self._next_reading])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._next_reading = [], None

    def wake(self) -> None:
        """Say that there may be something new. Carries no data and may be called too often."""
        self._read_due = True
        self._wakeup.set()

    def committed(self, commit: Commit) -> None:
        """Hear what this process has committed: it need not be read where it follows on what the watches were told."""
        self._commits.append(commit)
        self._wakeup.set()

    async def current(self) -> Position:
        """The position of the watches, after all that was committed before this call; whose access was taken away by
        then is served no more. While the log cannot be read, the position that is known.

        Many may ask at once: they share the reading. Raises StoreError while `deliver_after`'s function does.
        """
        if self._error is None:
            if self._next_reading is None:
                self._next_reading = asyncio.create_task(self._read_for_all(), name="modelwire feed's reading")
            # Who is cancelled must not take it from the others.
            await asyncio.shield(self._next_reading)
        await self._settled()
        return self._position

    async def _read_for_all(self) -> None:
        async with self._reading:
            # Whoever asks from now on needs another one.
            self._next_reading = None
            with contextlib.suppress(StoreError):
                await self._read_log()

    async def watch(self, selector: Selector, since: Position | None = None) -> AsyncGenerator[WatchEvent, None]:
        """What `selector` names: first its state, or what changed after `since`; then every later change.

        The first event comes at once. Revisions only grow, the same version comes once (but after a reset), and a
        reader that does not read costs one pending change per config. Raises StoreError when the store cannot be read
        for the first event; later the watch waits until it can be.
        """
        if since is not None and since.revision > self._revision:
            await self._read()
        watch = Watch(selector)
        # Registered before anything is loaded, so that nothing falls between the load and the first change.
        self._watches.add(watch)
        try:
            first = await (self._snapshot(watch) if since is None else self._resume(watch, since))
            await self._settled()
            yield first
            while True:
                yield await self._next(watch)
        finally:
            self._watches.remove(watch)

    async def _snapshot(self, watch: Watch, *, reset: bool = False) -> WatchSnapshot:
        snapshot = await self._store.snapshot(watch.selector)
        await self._settled()
        if snapshot.store_id != self._store_id or snapshot.revision > self._revision:
            await self._read()
        watch.pending.rebase(snapshot.revision, {config.id: config.alias for config in snapshot.configs})
        watch.outdated = snapshot.store_id != self._store_id
        return WatchSnapshot(Position(snapshot.store_id, snapshot.revision), snapshot.configs, reset)

    async def _snapshot_after_reset(self, watch: Watch) -> WatchSnapshot:
        while True:
            try:
                return await self._snapshot(watch, reset=True)
            except StoreError:
                # `_run` says so in the log; the subscriber waits.
                await asyncio.sleep(self._poll_seconds)

    async def _resume(self, watch: Watch, since: Position) -> WatchEvent:
        registered_at = self._revision
        if since.store_id != self._store_id or since.revision > registered_at:
            return await self._snapshot(watch, reset=True)
        if since.revision < registered_at:
            try:
                log = await self._store.changes(after=since.revision, concerning=watch.selector)
            except (Compacted, StoreUnavailable):
                # The difference cannot be told. The state can, also without the database when it is in memory.
                return await self._snapshot(watch, reset=True)
            if self._store.id != since.store_id:
                return await self._snapshot(watch, reset=True)
            missed = PendingChanges(change for change in log if change.revision <= registered_at)
            missed.follow(watch.pending)
            watch.pending = missed
        return watch.take(self._position) or watch.bookmark(self._position)

    async def _next(self, watch: Watch) -> WatchEvent:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._bookmark_seconds):
                while not watch.outdated:
                    await watch.wakeup.wait()
                    if not watch.outdated and (change := watch.take(self._position)):
                        return change
        if watch.outdated:
            return await self._snapshot_after_reset(watch)
        # A change that came at the same moment: a bookmark would say that the subscriber has it.
        return watch.take(self._position) or watch.bookmark(self._position)

    @property
    def _position(self) -> Position:
        return Position(self._store_id, self._revision)

    async def _run(self) -> None:
        while True:
            self._wakeup.clear()
            try:
                await self._go_on()
            except Exception as error:
                self._read_due = True
                # Whatever it is, subscribers must not be left without a feed.
                if self._error is None:
                    unexpected = None if isinstance(error, StoreError) else error
                    logger.warning("subscribers wait, the change log cannot be read: %s", error, exc_info=unexpected)
                self._error = error
            else:
                if self._error is not None:
                    logger.info("the change log can be read again")
                self._error = None
            # A wake-up may get lost, whatever it is made of; the log does not.
            patience_seconds = max(self._poll_seconds, _CHECK_SECONDS) if self._error is None else self._poll_seconds
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._wakeup.wait()
            except TimeoutError:
                self._read_due = True

    async def _go_on(self) -> None:
        """Hand the watches what this process has committed, or what is new in the log when there may be more."""
        async with self._reading:
            changes = self._committed_changes()
            if self._read_due or changes is None:
                self._read_due = False
                await self._read_log()
            else:
                await self._tell(changes)

    def _committed_changes(self) -> list[Change] | None:
        """What the commits that were heard of have changed; None when they are not all that there was since."""
        changes: list[Change] = []
        revision = self._revision
        while self._commits:
            commit = self._commits.popleft()
            if commit.position.store_id != self._store_id or commit.position.revision > revision + 1:
                self._commits.clear()
                return None
            if commit.position.revision > revision:
                revision = commit.position.revision
                changes += commit.changes
        return changes

    async def _read(self) -> None:
        """Hand all that is new in the log to the watches that it concerns."""
        async with self._reading:
            await self._read_log()

    async def _read_log(self) -> None:
        try:
            changes = await self._store.changes(after=self._revision)
        except Compacted:
            await self._start_over("this process stood still for longer than changes are kept")
            return
        if self._store.id != self._store_id:
            await self._start_over("the database has another identity, a backup was restored")
            return
        await self._tell(changes)

    async def _tell(self, changes: Sequence[Change]) -> None:
        await self._settled()
        tracing.begin("modelwire.feed", (str(Position(self._store_id, change.revision)) for change in changes))()
        for change in changes:
            for watch in self._watches.concerned(change):
                watch.offer(change)
        if changes:
            self._store.mirror.apply(changes)
            self._revision = changes[-1].revision

    async def _start_over(self, reason: str) -> None:
        """What the watches know cannot be gone on from."""
        revision = await self._store.load_mirror()
        await self._settled()
        logger.warning("%s: subscribers get the state anew", reason)
        self._store_id, self._revision = self._store.id, revision
        for watch in self._watches.everyone():
            watch.reset()
