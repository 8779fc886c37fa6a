"""Processes that write into one database and are killed meanwhile: the log has no gap, and no watch a wrong end."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol

import pytest

from modelwire.store import Feed, ModelConfig, Position, Selector, Store, WatchChange, WatchSnapshot

CHANGES = 1000
ALIASES = "abcdefgh"
# Prints [revision, config id, version] of each change once it is committed.
WRITER = f"""
import asyncio, json, random, sys
from modelwire.store import *

async def main(url, keys, seed, count):
    dice = random.Random(seed)
    store = await open_store(url, Keyring.parse(keys))
    for number in range(count):
        alias = dice.choice("{ALIASES}")
        draft = ModelConfigDraft(alias=alias, model=f"{{seed}}-{{number}}", secrets=Secrets(auth={{"api_key": "x"}}))
        async with store.transaction(by=f"writer-{{seed}}") as transaction:
            config = await transaction.find(alias=alias)
            if config is None:
                change = await transaction.create(draft)
            elif dice.random() < 0.2:
                change = await transaction.delete(config)
            else:
                change = await transaction.update(config, draft)
        config_id = change.id if isinstance(change, ModelConfig) else change.config_id
        print(json.dumps([change.revision, config_id, change.version]), flush=True)
    await store.close()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


class Backend(Protocol):
    keys: str

    def open(self, url: str) -> Any: ...


async def start_writer(url: str, backend: Backend, *, seed: int, count: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, backend.keys, str(seed), str(count), stdout=asyncio.subprocess.PIPE
    )


class Replica:
    """What a subscriber of `selector` knows. `announced` has each (revision, config id, version) that was told."""

    def __init__(self, feed: Feed, selector: Selector, dice: random.Random) -> None:
        self.selector = selector
        self.configs: dict[str, ModelConfig] = {}
        self.announced: set[tuple[int, str, int]] = set()
        self._feed = feed
        self._dice = dice
        self._position: Position | None = None

    async def until(self, revision: int) -> None:
        """Follow until this revision; now and then the watch is cut off and resumed."""
        while self._position is None or self._position.revision < revision:
            async with aclosing(self._feed.watch(self.selector, self._position)) as watch:
                async for event in watch:
                    assert self._position is None or event.position.revision >= self._position.revision
                    if isinstance(event, WatchSnapshot):
                        self.configs = {config.id: config for config in event.configs}
                    elif isinstance(event, WatchChange):
                        for gone in event.removed:
                            del self.configs[gone.id]
                        self.configs.update({config.id: config for config in event.put})
                        self.announced |= {(config.revision, config.id, config.version) for config in event.put}
                    self._position = event.position
                    if event.position.revision >= revision or self._dice.random() < 0.02:
                        break


@asynccontextmanager
async def replicas(store: Store) -> AsyncIterator[list[Replica]]:
    feed = Feed(store, poll_seconds=0.02, bookmark_seconds=0.1)
    await feed.start()
    try:
        dice = random.Random(5)
        selectors = [Selector(), Selector(aliases=frozenset("ab")), Selector(aliases=frozenset({"h", "missing"}))]
        yield [Replica(feed, selector, dice) for selector in selectors]
    finally:
        await feed.stop()


async def check(store: Store, replicas: list[Replica]) -> None:
    for replica in replicas:
        truth = (await store.snapshot(replica.selector)).configs
        assert tuple(sorted(replica.configs.values(), key=lambda config: config.alias)) == truth
    log = {(change.revision, change.config_id, change.version) for change in await store.changes(after=0)}
    assert all(replica.announced <= log for replica in replicas)


async def test_two_processes_leave_no_gap_and_no_watch_behind(store: Store, url: str, backend: Backend) -> None:
    last = 1 + 2 * CHANGES
    seen: list[int] = []

    async def tail() -> None:
        # A revision that became visible after a greater one would be missing here.
        while len(seen) < last - 1:
            seen.extend(change.revision for change in await store.changes(after=seen[-1] if seen else 1))
            await asyncio.sleep(0.005)

    async with replicas(store) as watching:
        writers = [await start_writer(url, backend, seed=seed, count=CHANGES) for seed in (1, 2)]
        _, *outputs = await asyncio.gather(
            tail(), *(writer.communicate() for writer in writers), *(replica.until(last) for replica in watching)
        )
        assert [writer.returncode for writer in writers] == [0, 0]
        await check(store, watching)
    assert seen == list(range(2, last + 1))
    told = [[json.loads(line)[0] for line in output[0].splitlines()] for output in outputs[:2]]
    assert sorted(told[0] + told[1]) == seen
    # They took turns, and each saw its own revisions grow.
    assert all(revisions == sorted(revisions) for revisions in told)
    assert told[0][0] < told[1][-1]
    assert told[1][0] < told[0][-1]


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.long)])
async def test_a_writer_that_is_killed_loses_nothing_that_it_said(
    store: Store, url: str, backend: Backend, kills: int
) -> None:
    dice = random.Random(kills)
    acknowledged: list[tuple[int, str, int]] = []
    async with replicas(store) as watching:
        for seed in range(kills):
            writer = await start_writer(url, backend, seed=seed, count=1_000_000)
            assert writer.stdout is not None
            lines = [await writer.stdout.readline() for _ in range(dice.randint(1, 12))]
            # At any point of a transaction: one takes some milliseconds.
            await asyncio.sleep(dice.uniform(0, 0.008))
            writer.kill()
            lines += (await writer.stdout.read()).splitlines(keepends=True)
            assert await writer.wait() == -signal.SIGKILL
            # The last line may be cut off by the kill.
            acknowledged += [tuple(json.loads(line)) for line in lines if line.endswith(b"\n")]
        last = await store.revision()
        await asyncio.gather(*(replica.until(last) for replica in watching))
        await check(store, watching)
    changes = await store.changes(after=1)
    assert [change.revision for change in changes] == list(range(2, last + 1))
    assert set(acknowledged) <= {(change.revision, change.config_id, change.version) for change in changes}
    assert len(acknowledged) >= kills
    # Not more than one change of each writer was committed without a word.
    assert len(changes) - len(acknowledged) <= kills
    for change in changes:
        assert change.config is None or store.open_secrets(change.config).auth == {"api_key": "x"}
