"""The audit log tells who did what, and what was done to itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from modelwire.store import (
    AliasInUse,
    AliasPatterns,
    ApiKey,
    AuditAction,
    AuditEvent,
    AuditReport,
    ModelConfigDraft,
    Retention,
    Secrets,
    Store,
    StoreCorrupt,
    StoreError,
    verify_audit_log,
)

DENIAL = AuditEvent(action=AuditAction.ACCESS_DENIED, actor="api_key:x", details={"count": 3})


async def create(store: Store, alias: str) -> None:
    async with store.transaction(by="api_key:writer") as transaction:
        await transaction.create(ModelConfigDraft(alias=alias))


async def execute(store: Store, *statements: str) -> None:
    """Change the database as somebody would who has its file or its password."""
    async with store._database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def rows(store: Store) -> list[Any]:
    async with store._database.read() as connection:
        return list(await connection.execute(text("SELECT * FROM audit_log ORDER BY sequence")))


@pytest.fixture
async def ten(store: Store) -> Store:
    """A store with ten rows of the audit log."""
    for number in range(10):
        await create(store, f"alias-{number}")
    return store


async def test_every_write_has_a_row(store: Store) -> None:
    async with store.transaction(by="one", via="import") as transaction:
        a = await transaction.create(ModelConfigDraft(alias="a"))
        await transaction.create(ModelConfigDraft(alias="b"))
    async with store.transaction(by="two") as transaction:
        renamed = await transaction.update(a, ModelConfigDraft(alias="c"))
        back = await transaction.update(renamed, ModelConfigDraft(alias="a"), to_version=1)
        await transaction.delete(back)
    async with store.transaction(by="three") as transaction:
        await transaction.find(alias="b")
    entries = await store.audit_log.page(first=100)
    assert [entry.sequence for entry in entries] == [5, 4, 3, 2, 1]
    told = [(entry.action, entry.actor, entry.details) for entry in reversed(entries)]
    b_id = told[1][2]["id"]
    assert told == [
        ("model_config.create", "one", {"id": a.id, "alias": "a", "version": 1, "revision": 2, "via": "import"}),
        ("model_config.create", "one", {"id": b_id, "alias": "b", "version": 1, "revision": 2, "via": "import"}),
        ("model_config.update", "two", {"id": a.id, "alias": "c", "previousAlias": "a", "version": 2, "revision": 3}),
        (
            "model_config.rollback",
            "two",
            {"id": a.id, "alias": "a", "previousAlias": "c", "version": 3, "revision": 3, "toVersion": 1},
        ),
        ("model_config.delete", "two", {"id": a.id, "alias": "a", "version": 4, "revision": 3}),
    ]
    assert entries[-1].at == a.created_at
    assert await store.audit_log.page(first=2, before=4) == entries[2:4]
    assert await store.audit_log.page(first=2, before=1) == []


async def test_keys_and_denials_have_rows(store: Store) -> None:
    now = datetime.now(UTC)
    key = ApiKey(
        id="k3j9x2q8ab",
        name="ci",
        scopes=frozenset({"model_config:read"}),
        aliases=AliasPatterns(("team-*",)),
        created_at=now,
        created_by="system",
        expires_at=now + timedelta(days=1),
        secret_hash=hashlib.sha256(b"canary").hexdigest(),
    )
    await store.api_keys.add(key)
    with pytest.raises(StoreError):
        await store.api_keys.add(key)
    await store.audit_log.record([DENIAL])
    await store.audit_log.record([])
    denial, made = await store.audit_log.page(first=10)
    assert (denial.action, denial.actor, denial.details) == ("access.denied", "api_key:x", {"count": 3})
    assert (made.action, made.actor, made.at) == ("api_key.create", "system", now)
    assert made.details == {
        "id": "k3j9x2q8ab",
        "name": "ci",
        "scopes": ["model_config:read"],
        "aliases": ["team-*"],
        "expiresAt": (now + timedelta(days=1)).isoformat(),
    }


async def test_what_is_undone_leaves_no_row(store: Store, url: str) -> None:
    await create(store, "a")
    with pytest.raises(AliasInUse):
        await create(store, "a")

    async def fail() -> None:
        async with store.transaction(by="x") as transaction:
            await transaction.create(ModelConfigDraft(alias="b"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert len(await rows(store)) == 1
    assert (await verify_audit_log(url)).problems == ()


async def test_no_row_holds_a_secret(store: Store) -> None:
    secrets = Secrets(auth={"api_key": "canary-auth"}, params={"extra_headers": {"X": "canary-param"}})
    async with store.transaction(by="x") as transaction:
        first = await transaction.create(ModelConfigDraft(alias="a", params={"n": "canary-plain"}, secrets=secrets))
        second = await transaction.update(first, ModelConfigDraft(alias="a", secrets=secrets))
        await transaction.update(second, ModelConfigDraft(alias="a"), to_version=1)
    assert "canary" not in str(await rows(store))


async def test_the_hashes_are_what_they_are_said_to_be(ten: Store) -> None:
    previous = "0" * 64
    for row in await rows(ten):
        content = json.dumps([previous, row.entry], separators=(",", ":"))
        assert (row.previous_hash, row.hash) == (previous, hashlib.sha256(content.encode()).hexdigest())
        assert json.dumps(json.loads(row.entry), sort_keys=True, separators=(",", ":")) == row.entry
        previous = row.hash


async def test_writers_of_all_kinds_make_one_chain(
    store: Store, url: str, open_again: Callable[[], Awaitable[Store]]
) -> None:
    stores = [store, *[await open_again() for _ in range(2)]]

    async def work(number: int) -> None:
        each = stores[number % 3]
        await (each.audit_log.record([DENIAL, DENIAL]) if number % 4 == 0 else create(each, f"alias-{number}"))

    await asyncio.gather(*(work(number) for number in range(40)))
    report = await verify_audit_log(url)
    assert (report.rows, report.problems) == (50, ())


async def test_long_transactions_and_logs(store: Store, url: str) -> None:
    async with store.transaction(by="x") as transaction:
        for number in range(1201):
            await transaction.create(ModelConfigDraft(alias=f"alias-{number}"))
    assert (await verify_audit_log(url)).rows == 1201
    await execute(store, "DELETE FROM audit_log WHERE sequence = 1001")
    assert (await verify_audit_log(url)).problems == ("row 1001 was removed",)


class TestVerify:
    async def test_an_untouched_log(self, ten: Store, url: str) -> None:
        report = await verify_audit_log(url)
        assert report == AuditReport(rows=10, head=(await rows(ten))[-1].hash, problems=())
        assert (await ten.audit_log.page(first=1))[0].hash == report.head
        await create(ten, "later")
        assert (await verify_audit_log(url, head=report.head)).problems == ()

    async def test_an_empty_log(self, store: Store, url: str) -> None:
        report = await verify_audit_log(url)
        assert report == AuditReport(rows=0, head="0" * 64, problems=())
        assert (await verify_audit_log(url, head=report.head)).problems == ()

    async def test_compaction_and_new_seals_change_nothing(self, ten: Store, url: str) -> None:
        async with ten.transaction(by="x") as transaction:
            config = await transaction.find(alias="alias-0")
            assert config is not None
            config = await transaction.update(config, ModelConfigDraft(alias="a", secrets=Secrets(auth={"a": "b"})))
            await transaction.delete(config)
        report = await verify_audit_log(url)
        assert [n async for n in ten.compact(Retention(since=datetime(9999, 1, 1, tzinfo=UTC), min_versions=1))] == [3]
        assert await verify_audit_log(url, head=report.head) == report

    @pytest.mark.parametrize(
        ("statements", "problems"),
        [
            (
                ["UPDATE audit_log SET entry = replace(entry, 'writer', 'nobody') WHERE sequence = 4"],
                ["row 4 was changed: its content does not give its hash"],
            ),
            (
                ["UPDATE audit_log SET entry = replace(entry, 'writer', 'nobody') WHERE sequence = 10"],
                ["row 10 was changed, or inserted: its content does not give its hash"],
            ),
            (
                ["UPDATE audit_log SET entry = 'no JSON' WHERE sequence = 1"],
                ["row 1 was changed: its content does not give its hash"],
            ),
            (["DELETE FROM audit_log WHERE sequence = 1"], ["row 1 was removed"]),
            (["DELETE FROM audit_log WHERE sequence = 5"], ["row 5 was removed"]),
            (["DELETE FROM audit_log WHERE sequence BETWEEN 3 AND 6"], ["rows 3 to 6 were removed"]),
            (
                [
                    "DELETE FROM audit_log WHERE sequence = 2",
                    "UPDATE audit_log SET entry = entry || ' ' WHERE sequence = 7",
                ],
                ["row 2 was removed", "row 7 was changed: its content does not give its hash"],
            ),
            (
                # To hide the gap, the rows after it move up.
                [
                    "DELETE FROM audit_log WHERE sequence = 5",
                    "UPDATE audit_log SET sequence = -sequence WHERE sequence > 5",
                    "UPDATE audit_log SET sequence = -sequence - 1 WHERE sequence < 0",
                ],
                ["row 5 was removed", "row 6 was renumbered to 5"],
            ),
            (
                ["INSERT INTO audit_log SELECT 11, entry, hash, previous_hash FROM audit_log WHERE sequence = 3"],
                ["row 11 was inserted: it does not follow from the row before it"],
            ),
            (
                ["INSERT INTO audit_log SELECT 0, entry, previous_hash, hash FROM audit_log WHERE sequence = 3"],
                ["row 0 was inserted: "],
            ),
            (
                # Room is made for a row of theirs.
                [
                    "UPDATE audit_log SET sequence = -sequence WHERE sequence > 5",
                    "UPDATE audit_log SET sequence = -sequence + 1 WHERE sequence < 0",
                    "INSERT INTO audit_log SELECT 6, entry, previous_hash, 'f' FROM audit_log WHERE sequence = 3",
                ],
                [
                    "row 6 was inserted: the row after it follows from the row before it",
                    "row 6 was renumbered to 7",
                ],
            ),
            (
                [
                    "UPDATE audit_log SET previous_hash = 'x' WHERE sequence = 1",
                ],
                [
                    "row 1 was changed: it is not the beginning of a log",
                    "row 1 was changed: its content does not give its hash",
                ],
            ),
        ],
    )
    async def test_the_rows_are_named(self, ten: Store, url: str, statements: list[str], problems: list[str]) -> None:
        await execute(ten, *statements)
        found = (await verify_audit_log(url)).problems
        assert len(found) == len(problems)
        for sentence, begin in zip(found, problems, strict=True):
            assert sentence.startswith(begin)

    async def test_a_row_with_a_hash_made_anew(self, ten: Store, url: str) -> None:
        await forge(ten, 4)
        assert (await verify_audit_log(url)).problems == (
            "row 4 was changed: it has another hash than the row after it remembers",
        )

    async def test_a_foreign_row_with_a_right_hash(self, ten: Store, url: str) -> None:
        await execute(
            ten,
            "UPDATE audit_log SET sequence = -sequence WHERE sequence > 5",
            "UPDATE audit_log SET sequence = -sequence + 1 WHERE sequence < 0",
            r"INSERT INTO audit_log SELECT 6, replace(entry, '\:5}', '\:6}'), hash, '' FROM audit_log "
            "WHERE sequence = 5",
        )
        await forge(ten, 6)
        assert (await verify_audit_log(url)).problems == (
            "row 6 was inserted: the row after it follows from the row before it",
            "row 6 was renumbered to 7",
        )

    async def test_only_the_head_tells_that_the_end_was_cut_off(self, ten: Store, url: str) -> None:
        head = (await verify_audit_log(url)).head
        await execute(ten, "DELETE FROM audit_log WHERE sequence > 8")
        assert (await verify_audit_log(url)).problems == ()
        (problem,) = (await verify_audit_log(url, head=head)).problems
        assert problem.startswith(f"the head {head} is not in the log: its end was cut off")
        await execute(ten, "DELETE FROM audit_log")
        (problem,) = (await verify_audit_log(url, head=head)).problems
        assert problem.startswith(f"the head {head} is not in the log")

    async def test_only_the_head_tells_that_all_was_written_anew(self, ten: Store, url: str) -> None:
        head = (await verify_audit_log(url)).head
        for sequence in range(1, 11):
            await forge(ten, sequence)
        assert (await verify_audit_log(url)).problems == ()
        (problem,) = (await verify_audit_log(url, head=head)).problems
        assert problem.startswith(f"the head {head} is not in the log")

    async def test_a_head_that_was_written_into_another_row_is_not_found(self, ten: Store, url: str) -> None:
        head = (await verify_audit_log(url)).head
        await execute(
            ten,
            "DELETE FROM audit_log WHERE sequence > 8",
            f"UPDATE audit_log SET hash = '{head}' WHERE sequence = 8",
        )
        assert (await verify_audit_log(url, head=head)).problems[0].startswith(f"the head {head} is not in the log")

    async def test_what_it_names_has_an_end(self, ten: Store, url: str) -> None:
        await ten.audit_log.record([DENIAL] * 200)
        await execute(ten, "UPDATE audit_log SET entry = entry || ' '")
        report = await verify_audit_log(url, head="f" * 64)
        assert (report.rows, len(report.problems)) == (210, 101)
        assert report.problems[0].startswith("the head")

    async def test_a_changed_row_that_cannot_be_read_says_what_to_do(self, ten: Store) -> None:
        for entry in ("no JSON", "[]", "{}"):
            await execute(ten, f"UPDATE audit_log SET entry = '{entry}' WHERE sequence = 3")
            with pytest.raises(StoreCorrupt, match=r"row 3 .* audit verify"):
                await ten.audit_log.page(first=10)


async def forge(store: Store, sequence: int) -> None:
    """Change a row and make its hash anew, from the row that is before it."""
    before = {row.sequence: row.hash for row in await rows(store)}.get(sequence - 1, "0" * 64)
    row = next(row for row in await rows(store) if row.sequence == sequence)
    entry = row.entry.replace("writer", "nobody")
    content = json.dumps([before, entry], separators=(",", ":"))
    hashed = hashlib.sha256(content.encode()).hexdigest()
    async with store._database.write() as connection:
        await connection.execute(
            text(
                "UPDATE audit_log SET entry = :entry, previous_hash = :before, hash = :hash WHERE sequence = :sequence"
            ),
            {"entry": entry, "before": before, "hash": hashed, "sequence": sequence},
        )
