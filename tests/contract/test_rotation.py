"""Sealing rows again under another key, beside writers and interrupted anywhere: no secret is ever out of reach."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelwire.store import (
    Feed,
    Keyring,
    KeyringError,
    KeyUse,
    ModelConfigDraft,
    Secrets,
    Selector,
    Store,
    UnknownKey,
    open_store,
)

KEYS = {name: f"{name}:{letter * 43}" for name, letter in (("old", "A"), ("new", "E"), ("other", "I"))}
OLD, BOTH, NEW = KEYS["old"], f"{KEYS['new']},{KEYS['old']}", KEYS["new"]


def draft(alias: str, secret: str | None = None) -> ModelConfigDraft:
    secrets = (
        Secrets() if secret is None else Secrets(auth={"api_key": secret}, params={"extra_headers": {"a": secret}})
    )
    return ModelConfigDraft(alias=alias, provider="openai", model="m", secrets=secrets)


async def fill(store: Store, count: int) -> None:
    """`count` configs with two versions each, both with secrets."""
    async with store.transaction(by="test") as transaction:
        for number in range(count):
            config = await transaction.create(draft(f"a{number}", f"first {number}"))
            await transaction.update(config, draft(f"a{number}", f"secret {number}"))


async def opened(store: Store) -> dict[str, Any]:
    """The secrets of all versions that have any, by config and version."""
    configs = [change.config for change in await store.changes(after=0) if change.config]
    return {f"{config.id} {config.version}": store.open_secrets(config) for config in configs if config.sealed}


async def reseal(store: Store, **arguments: Any) -> tuple[int, list[str]]:
    batches = [batch async for batch in store.sealed_rows.reseal(**arguments)]
    return sum(batch.rows for batch in batches), [problem for batch in batches for problem in batch.problems]


async def test_all_versions_are_sealed_again_and_nothing_else_changes(backend: Any, url: str) -> None:
    async with replace(backend, keys=OLD).open(url) as store:
        await fill(store, 7)
        before, revision = await opened(store), await store.revision()
        log = await store.changes(after=0)
        assert await store.sealed_rows.key_uses() == {"old": KeyUse(rows=14, current=7)}
    async with replace(backend, keys=BOTH).open(url) as store:
        assert await reseal(store, batch_rows=3) == (14, [])
        assert await store.sealed_rows.key_uses() == {"new": KeyUse(rows=14, current=7)}
        assert await reseal(store) == (0, [])
        assert await store.sealed_rows.retire_unused_keys() == (("old",), None)
        assert await store.revision() == revision
    async with replace(backend, keys=NEW).open(url) as store:
        await store.sealed_rows.check()
        assert await opened(store) == before
        plain = [replace(change, config=change.config and replace(change.config, sealed=None)) for change in log]
        assert [
            replace(change, config=change.config and replace(change.config, sealed=None))
            for change in await store.changes(after=0)
        ] == plain


async def test_an_interrupted_rotation_is_taken_up_again(backend: Any, url: str) -> None:
    async with replace(backend, keys=OLD).open(url) as store:
        await fill(store, 5)
        before = await opened(store)
    for left in (8, 6):
        async with replace(backend, keys=BOTH).open(url) as store:
            async with aclosing(store.sealed_rows.reseal(batch_rows=2)) as batches:
                assert (await anext(batches)).rows == 2
            assert (await store.sealed_rows.key_uses())["old"].rows == left
            assert await store.sealed_rows.retire_unused_keys() == ((), None)
            assert await opened(store) == before
    async with replace(backend, keys=BOTH).open(url) as store:
        assert await reseal(store) == (6, [])
        assert await opened(store) == before


async def test_writers_go_on_meanwhile(backend: Any, url: str) -> None:
    """Also one that still seals under the old key, as a server does that was not restarted."""
    async with (
        replace(backend, keys=BOTH).open(url) as store,
        replace(backend, keys=f"{OLD},{NEW}").open(url) as behind,
    ):
        await fill(behind, 10)
        done = asyncio.Event()

        async def write(writer: Store) -> None:
            number = 0
            while not done.is_set():
                number += 1
                await asyncio.sleep(0.002)  # a pace that others can keep up with, not a wait for anything
                async with writer.transaction(by="test") as transaction:
                    config = await transaction.find(alias=f"a{number % 10}")
                    assert config is not None
                    await transaction.update(config, draft(config.alias, f"secret {number}"))

        writers = [asyncio.create_task(write(writer)) for writer in (store, behind)]
        try:
            results = [await reseal(store, batch_rows=5) for _ in range(3)]
        finally:
            done.set()
            await asyncio.gather(*writers)
        assert sum(rows for rows, _ in results) >= 20
        assert [problems for _, problems in results] == [[], [], []]
        await reseal(store)
        assert set(await store.sealed_rows.key_uses()) == {"new"}
        versions = [(change.config_id, change.version) for change in await store.changes(after=0)]
        assert len(set(versions)) == len(versions)
        before = await opened(store)
    async with replace(backend, keys=NEW).open(url) as store:
        assert await opened(store) == before


async def test_two_rotations_at_once_do_not_hurt_each_other(backend: Any, url: str) -> None:
    async with replace(backend, keys=OLD).open(url) as store:
        await fill(store, 10)
        before = await opened(store)
    async with (
        replace(backend, keys=BOTH).open(url) as one,
        replace(backend, keys=f"{KEYS['other']},{BOTH}").open(url) as two,
    ):
        await asyncio.gather(reseal(one, batch_rows=2), reseal(two, batch_rows=2))
        assert await opened(two) == before
        assert "old" not in await two.sealed_rows.key_uses()


async def test_rows_that_do_not_open_stay_as_they_are_and_are_named(backend: Any, url: str) -> None:
    for name in ("old", "other"):
        async with replace(backend, keys=KEYS[name]).open(url) as store, store.transaction(by="test") as transaction:
            config = await transaction.create(draft(name, f"secret of {name}"))
    async with replace(backend, keys=BOTH).open(url) as store:
        rows, problems = await reseal(store)
        assert rows == 1
        assert len(problems) == 1
        assert "'other'" in problems[0]
        assert await store.sealed_rows.key_uses() == {
            "new": KeyUse(rows=1, current=1),
            "other": KeyUse(rows=1, current=1),
        }
        with pytest.raises(UnknownKey, match="'other'"):
            await store.sealed_rows.check()
        assert [config.alias for config in (await store.snapshot(Selector())).configs] == [
            "general",
            "old",
            "other",
            "planning",
        ]
        with pytest.raises(UnknownKey, match="'other'"):
            store.open_secrets(config)


async def test_another_key_under_the_same_name_is_found_at_the_start(backend: Any, url: str) -> None:
    async with replace(backend, keys=f"k:{'A' * 43}").open(url) as store:
        await store.sealed_rows.check()
        await fill(store, 1)
        await store.sealed_rows.check()
    async with replace(backend, keys=f"k:{'E' * 43}").open(url) as store:
        with pytest.raises(KeyringError, match=r"'k' does not open the secrets of 1 model config") as caught:
            await store.sealed_rows.check()
        assert "E" * 43 not in str(caught.value)


async def test_a_key_that_only_the_history_needs_is_no_reason_to_refuse_the_start(backend: Any, url: str) -> None:
    async with replace(backend, keys=OLD).open(url) as store, store.transaction(by="test") as transaction:
        config = await transaction.create(draft("a", "secret"))
        await transaction.update(config, draft("a"))
    async with replace(backend, keys=NEW).open(url) as store:
        await store.sealed_rows.check()
        assert await store.sealed_rows.key_uses() == {"old": KeyUse(rows=1, current=0)}


class TestKeyFile:
    """A key file that is rotated under running servers."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "modelwire.key"

    async def test_a_running_server_seals_under_the_new_key_and_opens_both(self, url: str, path: Path) -> None:
        server = await open_store(url, Keyring.from_file(path)[0])
        command = await open_store(url, Keyring.from_file(path)[0])
        try:
            await fill(server, 2)
            (old,) = await server.sealed_rows.key_uses()
            before = await opened(server)
            cached = await server.find(alias="a0")
            new = await command.sealed_rows.add_key()
            assert new != old
            await fill_one(server, "under-new")
            assert set(await server.sealed_rows.key_uses()) == {old, new}
            await reseal(command)
            # What the server read before the rotation, and what it reads after.
            assert cached is not None
            assert server.open_secrets(cached).auth == {"api_key": "secret 0"}
            assert before.items() <= (await opened(server)).items()
            retired, beside = await command.sealed_rows.retire_unused_keys()
            assert retired == (old,)
            assert beside is not None
            assert Keyring.from_file(path)[0].names == (new,)
            assert Keyring.parse(beside.read_text()).names == (old,)
            for file in (path, beside):
                assert file.stat().st_mode & 0o777 == 0o600
            assert sorted(file.name for file in path.parent.glob("*.key*")) == [
                "modelwire.key",
                "modelwire.key.retired",
            ]
            await fill_one(server, "after")
            assert set(await server.sealed_rows.key_uses()) == {new}
        finally:
            await server.close()
            await command.close()

    async def test_a_server_opens_rows_under_a_key_that_came_after_its_start(self, url: str, path: Path) -> None:
        """One that only reads: it never looked at the file since."""
        reader = await open_store(url, Keyring.from_file(path)[0])
        command = await open_store(url, Keyring.from_file(path)[0])
        try:
            await command.sealed_rows.add_key()
            await fill_one(command, "a")
            config = await reader.find(alias="a")
            assert config is not None
            assert reader.open_secrets(config).auth == {"api_key": "secret"}
        finally:
            await reader.close()
            await command.close()

    async def test_what_is_in_memory_opens_after_any_number_of_rotations(self, url: str, path: Path) -> None:
        """For the time without the database: nothing is read from it, and nothing was opened before."""
        reader = await open_store(url, Keyring.from_file(path)[0])
        command = await open_store(url, Keyring.from_file(path)[0])
        feed = Feed(reader)
        try:
            await feed.start()
            await command.sealed_rows.add_key()
            await fill_one(command, "a")
            await feed.current()
            snapshot = reader.mirror.snapshot(Selector(aliases=frozenset({"a"})))
            assert snapshot is not None
            await command.sealed_rows.add_key()
            await reseal(command)
            assert len((await command.sealed_rows.retire_unused_keys())[0]) == 2
            assert reader.open_secrets(snapshot.configs[0]).auth == {"api_key": "secret"}
        finally:
            await feed.stop()
            await reader.close()
            await command.close()

    async def test_rotating_again_and_again_loses_no_key(self, url: str, path: Path) -> None:
        store = await open_store(url, Keyring.from_file(path)[0])
        try:
            await fill(store, 2)
            before, names = await opened(store), []
            for _ in range(3):
                names += await store.sealed_rows.key_uses()
                await store.sealed_rows.add_key()
                await reseal(store)
                await store.sealed_rows.retire_unused_keys()
            assert Keyring.parse((path.parent / "modelwire.key.retired").read_text()).names == tuple(names)
            assert await opened(store) == before
        finally:
            await store.close()
        again = await open_store(url, Keyring.from_file(path)[0])
        assert await opened(again) == before
        await again.close()

    async def test_a_key_file_that_went_away_is_not_made_anew(self, url: str, path: Path) -> None:
        store = await open_store(url, Keyring.from_file(path)[0])
        try:
            await fill(store, 1)
            revision = await store.revision()
            path.unlink()  # noqa: ASYNC240 - a local file of the test
            with pytest.raises(KeyringError, match=f"the key file {path} cannot be read"):
                await fill_one(store, "b")
            assert not path.exists()  # noqa: ASYNC240 - a local file of the test
            assert await store.revision() == revision
            assert len(await opened(store)) == 2
        finally:
            await store.close()

    async def test_keys_of_the_environment_are_not_added_to(self, store: Store) -> None:
        with pytest.raises(KeyringError, match="MODELWIRE_ENCRYPTION_KEYS"):
            await store.sealed_rows.add_key()

    async def test_a_crash_at_any_point_leaves_all_rows_openable(
        self, url: str, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each replacement of a file fails in turn; a rotation that is run again then goes to its end."""
        store = await open_store(url, Keyring.from_file(path)[0])
        await fill(store, 2)
        before = await opened(store)
        await store.close()
        replacing = Path.replace
        for allowed in range(3):
            calls = 0

            def crash(draft: Path, target: Path, allowed: int = allowed) -> Path:
                nonlocal calls
                calls += 1
                if calls > allowed:
                    raise OSError(28, "No space left on device")
                return replacing(draft, target)

            with monkeypatch.context() as patch:
                patch.setattr(Path, "replace", crash)
                store = await open_store(url, Keyring.from_file(path)[0])
                with pytest.raises(KeyringError, match="No space left on device"):
                    await rotate(store)
                await store.close()
            store = await open_store(url, Keyring.from_file(path)[0])
            assert await opened(store) == before
            await store.close()
        assert [file.name for file in path.parent.glob(".*")] == []
        store = await open_store(url, Keyring.from_file(path)[0])
        await rotate(store)
        assert len(await store.sealed_rows.key_uses()) == 1
        await store.close()
        store = await open_store(url, Keyring.from_file(path)[0])
        assert len(Keyring.from_file(path)[0].names) == 1
        assert await opened(store) == before
        await store.close()


async def rotate(store: Store) -> None:
    await store.sealed_rows.add_key()
    await reseal(store)
    await store.sealed_rows.retire_unused_keys()


async def fill_one(store: Store, alias: str) -> None:
    async with store.transaction(by="test") as transaction:
        await transaction.create(draft(alias, "secret"))
