"""Answers that are kept: for those with the same rights, and not for one commit too long."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
from graphql import parse

from modelwire.resolvers.access import Principal, Scope
from modelwire.server.graphql import answers
from modelwire.server.graphql.answers import KeptAnswers
from modelwire.server.graphql.documents import Document
from modelwire.server.graphql.execution import Result
from modelwire.server.graphql.sharing import GroupKey, Rights
from modelwire.store import AliasPatterns, Position, StoreUnavailable

READER = Principal(subject="s", name="s", scopes=frozenset({Scope.MODEL_CONFIG_READ}))
OF_A = replace(READER, aliases=AliasPatterns(("a",)))


class Server:
    """A feed that stands at `position`, and what is executed there."""

    def __init__(self) -> None:
        self.position = Position("s", 1)
        self.away = False
        self.errors = False
        self.executed = 0
        self.commits_meanwhile = 0
        self.renewals_meanwhile: list[Principal | None] = []
        self.renewed: Principal | None = None
        self.kept = KeptAnswers(self._current)

    async def _current(self) -> Position:
        if self.away:
            raise StoreUnavailable("away")
        return self.position

    def commit(self) -> None:
        self.position = Position(self.position.store_id, self.position.revision + 1)

    async def ask(self, document: str = "d", principal: Principal = READER) -> bytes:
        result = await self.kept.answer(
            lambda: self.renewed or principal,
            lambda principal: GroupKey.of(document, None, {}, Rights.of(principal)),
            self._execute,
        )
        return result.payload

    async def _execute(self) -> Result:
        self.executed += 1
        answer = b"%d at %d" % (self.executed, self.position.revision)
        if self.commits_meanwhile:
            self.commits_meanwhile -= 1
            self.commit()
            await self.ask("another")
        if self.renewals_meanwhile:
            self.renewed = self.renewals_meanwhile.pop(0)
        return Result(answer, [{"message": "no"}] if self.errors else [])


@pytest.fixture
def server() -> Server:
    return Server()


async def test_what_nothing_changed_is_executed_once(server: Server) -> None:
    assert [await server.ask() for _ in range(3)] == [b"1 at 1"] * 3
    assert await server.ask("e") == b"2 at 1"
    assert await server.ask(principal=OF_A) == b"3 at 1"
    assert [await server.ask(), await server.ask("e"), await server.ask(principal=OF_A)] == [
        b"1 at 1",
        b"2 at 1",
        b"3 at 1",
    ]


async def test_a_commit_and_a_restored_backup_end_it(server: Server) -> None:
    await server.ask()
    server.commit()
    assert await server.ask() == b"2 at 2"
    server.position = Position("restored", 2)
    assert await server.ask() == b"3 at 2"


async def test_what_was_executed_before_a_commit_is_not_kept_after_it(server: Server) -> None:
    server.commits_meanwhile = 1
    assert await server.ask() == b"1 at 1"
    assert await server.ask("another") == b"2 at 2"
    assert await server.ask() == b"3 at 2"


async def test_what_another_token_may_have_shown_is_kept_for_nobody(server: Server) -> None:
    server.renewals_meanwhile = [READER]
    assert await server.ask(principal=OF_A) == b"1 at 1"
    server.renewed = None
    assert await server.ask(principal=OF_A) == b"2 at 1"
    assert await server.ask() == b"3 at 1"


async def test_a_token_that_is_renewed_before_its_answer_is_found_counts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [await server.ask(), await server.ask(principal=OF_A)] == [b"1 at 1", b"2 at 1"]

    async def current() -> Position:
        server.renewed = OF_A
        return server.position

    monkeypatch.setattr(server.kept, "_current", current)
    assert await server.ask() == b"2 at 1"


async def test_errors_are_told_to_each(server: Server) -> None:
    server.errors = True
    assert [await server.ask(), await server.ask()] == [b"1 at 1", b"2 at 1"]


async def test_while_it_cannot_be_known_what_is_committed_all_is_executed(server: Server) -> None:
    await server.ask()
    server.away = True
    assert [await server.ask(), await server.ask()] == [b"2 at 1", b"3 at 1"]
    server.away = False
    assert await server.ask() == b"1 at 1"


async def test_what_is_kept_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "KEPT_BYTES", 22)
    for document in "abc":  # 6 bytes of answer, 2 of variables and 1 of document each
        await server.ask(document)
    assert await server.ask("c") == b"3 at 1"
    assert await server.ask("a") == b"4 at 1"
    await server.ask("long " * 5)
    assert await server.ask("long " * 5) == b"6 at 1"
    monkeypatch.setattr(answers, "KEPT_BYTES", 1)
    server.commit()
    assert [await server.ask(), await server.ask()] == [b"7 at 2", b"8 at 2"]


async def test_of_what_was_asked_the_text_alone_is_kept(server: Server) -> None:
    """Its syntax tree is a hundred times as large: those of a thousand questions would be a gigabyte."""
    document = Document("d")
    document.tree = parse("{ d }")
    tree = weakref.ref(document.tree)
    assert await server.ask(document) == b"1 at 1"
    del document
    gc.collect()
    assert tree() is None
    assert await server.ask(Document("d")) == b"1 at 1"
