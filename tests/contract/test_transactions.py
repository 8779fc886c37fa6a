"""One writer at a time, all or nothing, one revision, also when tasks are cancelled and processes are killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal, Protocol

import pytest
from sqlalchemy import event

from modelwire.store import Auth, AuthType, Commit, ModelConfigDraft, Secrets, Selector, Store


class Backend(Protocol):
    keys: str
    dump: Callable[[str], bytes]

    def open(self, url: str) -> AbstractAsyncContextManager[Store]: ...


async def create(store: Store, alias: str) -> int:
    async with store.transaction(by="x") as transaction:
        return (await transaction.create(ModelConfigDraft(alias=alias))).revision


async def test_a_transaction_has_one_revision(store: Store) -> None:
    async with store.transaction(by="x") as transaction:
        assert transaction.revision is None
        first = await transaction.create(ModelConfigDraft(alias="a"))
        assert transaction.revision == 2
        second = await transaction.create(ModelConfigDraft(alias="b"))
        third = await transaction.update(first, ModelConfigDraft(alias="c"))
        change = await transaction.delete(second)
        assert {first.revision, second.revision, third.revision, change.revision, transaction.revision} == {2}
    assert await store.revision() == 2
    changes = await store.changes(after=1)
    assert [(c.revision, c.config_id, c.version) for c in changes] == sorted(
        [(2, first.id, 1), (2, first.id, 2), (2, second.id, 1), (2, second.id, 2)]
    )


async def test_a_commit_is_told_as_the_log_has_it(store: Store) -> None:
    commits: list[Commit] = []
    store.on_commit(commits.append)
    async with store.transaction(by="x") as transaction:
        first = await transaction.create(
            ModelConfigDraft(
                alias="b",
                description="caf\u00e9 \U0001f40d",
                provider="openai",
                model="gpt-4o",
                api_base="https://models.example/v1",
                auth=Auth(type=AuthType.API_KEY, fields={"api_key": "os.environ/KEY"}, hints={"token": None}),
                params={"temperature": 0.1, "n": 2**53, "stop": ("a", None), "nested": {"deep": [-0.0, True]}},
                max_input_tokens=8192,
                secrets=Secrets(params={"extra_headers": {"x": "y"}}),
            )
        )
        second = await transaction.create(ModelConfigDraft(alias="a"))
        await transaction.update(first, ModelConfigDraft(alias="c"))
        await transaction.delete(second)
    async with store.transaction(by="y") as transaction:
        general = await transaction.find(alias="general")
        assert general is not None
        await transaction.update(general, ModelConfigDraft(alias="general", params={"top_p": 1e-7}))
    assert [str(commit.position) for commit in commits] == [f"{store.id}-2", f"{store.id}-3"]
    assert [change for commit in commits for change in commit.changes] == await store.changes(after=1)


async def test_whom_a_commit_wakes_and_whom_those_wake_come_before_the_writer(store: Store) -> None:
    loop, turns = asyncio.get_running_loop(), []
    store.on_commit(lambda _: turns.append("commit"))
    store.on_commit(lambda _: loop.call_soon(turns.append, "feed"))
    store.on_commit(lambda _: loop.call_soon(loop.call_soon, turns.append, "watch"))
    await create(store, "a")
    assert turns == ["commit", "feed", "watch"]


async def test_a_transaction_without_a_write_takes_no_revision(store: Store) -> None:
    calls = []
    store.on_commit(lambda _: calls.append(1))
    async with store.transaction(by="x") as transaction:
        await transaction.find(alias="general")
    assert transaction.revision is None
    assert await store.revision() == 1
    assert calls == []


async def test_an_exception_leaves_no_trace(store: Store, url: str, backend: Backend) -> None:
    calls = []
    store.on_commit(lambda _: calls.append(1))
    before = await store.snapshot(Selector())

    async def fail() -> None:
        async with store.transaction(by="x") as transaction:
            general = await transaction.find(alias="general")
            assert general is not None
            await transaction.create(ModelConfigDraft(alias="a"))
            await transaction.update(general, ModelConfigDraft(alias="b"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await store.snapshot(Selector()) == before
    assert await store.changes(after=0) == [c for c in await store.changes(after=0) if c.revision == 1]
    assert calls == []
    assert await create(store, "a") == 2
    assert calls == [1]


async def test_changes_tell_what_happened_in_order(store: Store) -> None:
    async with store.transaction(by="one") as transaction:
        a = await transaction.create(ModelConfigDraft(alias="a"))
        b = await transaction.create(ModelConfigDraft(alias="b"))
    async with store.transaction(by="two") as transaction:
        renamed = await transaction.update(a, ModelConfigDraft(alias="c"))
    async with store.transaction(by="three") as transaction:
        deletion = await transaction.delete(b)
    changes = await store.changes(after=1)
    assert [(c.revision, c.by, c.operation.value, c.previous_alias, c.config) for c in changes] == [
        *sorted(
            [(2, "one", "create", None, a), (2, "one", "create", None, b)],
            key=lambda row: row[4].id,
        ),
        (3, "two", "update", "a", renamed),
        (4, "three", "delete", "b", None),
    ]
    assert changes[-1] == deletion
    assert await store.changes(after=2) == changes[2:]
    assert await store.changes(after=4) == []
    assert await store.compacted_revision() == 0


async def test_revisions_are_gapless_and_visible_in_commit_order(store: Store, other_store: Store) -> None:
    writers = 50
    seen: list[int] = []

    async def read() -> None:
        # What a feed does: a revision that became visible after a greater one would be missed here.
        while len(seen) < writers:
            seen.extend(c.revision for c in await other_store.changes(after=seen[-1] if seen else 1))

    async def write(number: int) -> int:
        return await create(store if number % 2 else other_store, f"alias-{number}")

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        tasks = [group.create_task(write(number)) for number in range(writers)]
    assert sorted(task.result() for task in tasks) == list(range(2, writers + 2))
    assert seen == list(range(2, writers + 2))
    assert await store.revision() == await other_store.revision() == writers + 1


async def test_a_writer_reads_what_it_will_replace(store: Store, other_store: Store) -> None:
    """Read, add, write in 40 transactions of two stores: without serialisation from the begin, some would be lost."""

    async def add(store: Store) -> None:
        async with store.transaction(by="x") as transaction:
            config = await transaction.find(alias="general")
            assert config is not None
            draft = ModelConfigDraft(alias="general", params={"count": config.params.get("count", 0) + 1})
            await transaction.update(config, draft)

    await asyncio.gather(*(add(each) for each in (store, other_store) * 20))
    config = await store.find(alias="general")
    assert config is not None
    assert (config.params, config.version) == ({"count": 40}, 41)


async def test_readers_neither_wait_for_the_writer_nor_see_its_work(store: Store, other_store: Store) -> None:
    async with store.transaction(by="x") as transaction:
        await transaction.create(ModelConfigDraft(alias="a"))
        for reader in (store, other_store):
            assert await reader.find(alias="a") is None
            assert await reader.revision() == 1
            assert len((await reader.snapshot(Selector())).configs) == 2
    assert await store.find(alias="a") == await other_store.find(alias="a") is not None


async def test_a_snapshot_is_of_one_moment(store: Store, other_store: Store) -> None:
    """Each transaction writes its revision into both placeholders."""
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(40):
            async with store.transaction(by="x") as transaction:
                revision: int | None = None
                for alias in ("general", "planning"):
                    config = await transaction.find(alias=alias)
                    assert config is not None
                    draft = ModelConfigDraft(alias=alias, params={"revision": config.version + 1})
                    await transaction.update(config, draft)
                revision = transaction.revision
            assert revision is not None
        done.set()

    async def read() -> int:
        snapshots = 0
        while not done.is_set():
            snapshot = await other_store.snapshot(Selector())
            expected = {} if snapshot.revision == 1 else {"revision": snapshot.revision}
            assert [config.params for config in snapshot.configs] == [expected, expected]
            snapshots += 1
        return snapshots

    _, *counts = await asyncio.gather(write(), read(), read())
    assert min(counts) > 5


async def test_a_commit_wakes_the_listeners_once_it_can_be_read(store: Store, other_store: Store) -> None:
    reads: list[asyncio.Task[int]] = []
    store.on_commit(lambda _: reads.append(asyncio.ensure_future(other_store.revision())))
    async with store.transaction(by="x") as transaction:
        await transaction.create(ModelConfigDraft(alias="a"))
        assert reads == []
    assert len(reads) == 1
    assert await reads[0] == 2


async def test_a_listener_that_fails_does_not_fail_the_writer(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    calls = []
    store.on_commit(lambda _: 1 // 0)
    store.on_commit(lambda _: calls.append(1))
    assert await create(store, "a") == 2
    assert calls == [1]
    assert "ZeroDivisionError" in caplog.text


async def test_a_commit_that_was_begun_is_finished_and_told_although_its_task_is_cancelled(store: Store) -> None:
    calls = []
    store.on_commit(lambda _: calls.append(1))
    writer = asyncio.create_task(create(store, "a"))
    engine = store._database._engine
    loop = asyncio.get_running_loop()

    async def cancel_writer() -> None:
        writer.cancel()

    def cancel(_: object) -> None:
        # The commit is made in a thread.
        asyncio.run_coroutine_threadsafe(cancel_writer(), loop).result()

    event.listen(engine, "commit", cancel)
    with pytest.raises(asyncio.CancelledError):
        await writer
    event.remove(engine, "commit", cancel)
    assert calls == [1]
    assert await store.find(alias="a") is not None
    assert await create(store, "b") == 3


@types.coroutine
def cancelled_at(
    suspension: int, coroutine: Coroutine[Any, Any, Any]
) -> Generator[Any, None, Literal["cancelled", "done"]]:
    """Await a coroutine in a task that is cancelled when it is suspended for the nth time; "done" if it ends before."""
    resume: Callable[[], Any] = partial(coroutine.send, None)
    for number in itertools.count():
        try:
            waiting_for = resume()
        except StopIteration:
            return "done"
        except asyncio.CancelledError:
            return "cancelled"
        if number == suspension:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waiting_for
            resume = partial(coroutine.send, None)
        except BaseException as error:  # noqa: BLE001 - the coroutine decides what to do about it
            resume = partial(coroutine.throw, error)
    raise AssertionError


async def test_a_cancellation_at_any_moment_leaves_all_or_nothing(store: Store) -> None:
    """Cancelled at each point where the writer waits for something, the first to the last."""
    calls = []
    store.on_commit(lambda _: calls.append(1))
    outcomes = []

    async def create_some(alias: str) -> None:
        # On SQLite the first statements are executed without waiting.
        async with store.transaction(by="x") as transaction:
            for name in (alias, *(f"{alias}-{number}" for number in range(8))):
                await transaction.create(ModelConfigDraft(alias=name))

    while "done" not in outcomes:
        told_before, alias = len(calls), f"alias-{len(outcomes)}"
        outcomes.append(await asyncio.create_task(cancelled_at(len(outcomes), create_some(alias))))
        written = await store.find(alias=alias) is not None
        assert len(calls) - told_before == written
        assert await store.revision() == 1 + len(calls)
    assert outcomes.count("cancelled") > 5
    revisions = [change.revision for change in await store.changes(after=1)]
    assert revisions == [revision for revision in range(2, 2 + len(calls)) for _ in range(9)]
    # Both happened: some were undone, and those that came too late were not.
    assert 1 < len(calls) < len(outcomes)


async def test_a_cancelled_waiter_does_not_stop_the_line(store: Store) -> None:
    async with store.transaction(by="x") as transaction:
        waiters = [asyncio.create_task(create(store, f"alias-{number}")) for number in range(3)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.wait([waiters[0]])
        await transaction.create(ModelConfigDraft(alias="a"))
    assert await asyncio.gather(*waiters[1:]) == [3, 4]
    assert await store.find(alias="alias-0") is None


async def test_secrets_never_reach_the_database_in_clear(store: Store, url: str, backend: Backend) -> None:
    canary, shown = "canary-7f3e1c9a", "plain-51d0b2e8"
    async with store.transaction(by="x") as transaction:
        config = await transaction.create(
            ModelConfigDraft(
                alias="a",
                description=shown,
                secrets=Secrets(auth={"api_key": canary}, params={"extra_headers": {"authorization": canary}}),
            )
        )
        await transaction.update(config, ModelConfigDraft(alias="a", secrets=Secrets(auth={"api_key": canary * 2})))
    content = backend.dump(url)
    assert shown.encode() in content
    assert canary.encode() not in content
    assert canary not in repr(await store.changes(after=0))


WRITER = """
import asyncio, json, sys
from modelwire.store import *

async def main():
    store = await open_store(sys.argv[1], Keyring.parse(sys.argv[2]))
    for number in range(1_000_000):
        async with store.transaction(by="writer") as transaction:
            config = await transaction.create(ModelConfigDraft(alias=f"alias-{number}"))
        print(json.dumps([config.id, config.alias, config.revision]), flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_that_it_said_was_committed(url: str, backend: Backend) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, backend.keys, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await process.stdout.readline() for _ in range(30)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    assert await process.wait() == -signal.SIGKILL
    # The last line may be cut off by the kill.
    told = [json.loads(line) for line in lines if line.endswith(b"\n")]
    assert len(told) >= 30
    async with backend.open(url) as store:
        for config_id, alias, revision in told:
            config = await store.find(id=config_id)
            assert config is not None
            assert (config.alias, config.revision) == (alias, revision)
        changes = await store.changes(after=1)
        assert [change.revision for change in changes] == list(range(2, len(changes) + 2))
        assert await store.revision() == len(changes) + 1
        assert await create(store, "after") == len(changes) + 2
