"""Random documents against the whole server: none of them is a bug's answer, and none hangs.

graphql-core says beforehand whether a document can be executed, and the server must be of its opinion. The seed is
in the failure's text; `FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz.clients import Answer, Http, WebSocket, send
from fuzz.documents import Documents, Request, damaged
from fuzz.oracle import Verdict, exported_schema, verdict
from fuzz.values import CANARY, Knowledge
from live_server import LiveServer, live_server

SCHEMA = exported_schema()
CODES = {"BAD_USER_INPUT", "FORBIDDEN", "LIMIT_EXCEEDED"}
# The credential that these are given may be none; that of the request itself is always good.
SIGNING_IN = ("signIn", "refreshSession")
# What resolvers say to a subscription under BAD_USER_INPUT. Anything else is said of the document itself.
RESOLVERS_WORDS = ("since must be", "by names", "a watch names")


@pytest.fixture(params=[500, pytest.param(10_000, marks=pytest.mark.long)])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def seed(count: int) -> str:
    """The same in `make check` each time, another one each time in `make check-long`."""
    seed = os.environ.get("FUZZ_SEED") or ("modelwire" if count <= 500 else secrets.token_hex(4))
    # Shown with a failure that is found only after the test, too.
    print(f"FUZZ_SEED={seed}")
    return seed


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.WARNING)
    yield caplog
    assert [record.getMessage() for record in caplog.records] == []


async def test_documents(tmp_path: Path, count: int, seed: str, logged: pytest.LogCaptureFixture) -> None:
    knowledge, tally = Knowledge(), Counter[str]()
    async with live_server(tmp_path) as server:
        keys = [server.admin_key, await _restricted_key(server)]
        https = [Http(server, key) for key in keys]
        sockets = [await WebSocket.open(server, key) for key in keys]
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            made = _request(rng, knowledge)
            who = int(rng.random() < 0.15)
            body = made.body()
            expected = verdict(SCHEMA, body)
            try:
                subscription = expected is Verdict.SUBSCRIPTION
                answer = await send(https[who], sockets[who], body, rng, subscription=subscription)
                codes = CODES | {"UNAUTHENTICATED"} if any(name in made.query for name in SIGNING_IN) else CODES
                tally[_checked(answer, expected, subscription, codes)] += 1
                for event in sockets[who].events:
                    _check_errors(event, CODES)
                sockets[who].events.clear()
                assert CANARY not in str(answer.payload) or "litellmParams" in made.query
            except Exception as error:
                raise AssertionError(f"FUZZ_SEED={seed}, document {number} ({expected.name}): {made}") from error
            knowledge.learn(answer.payload)
        for client in (*https, *sockets):
            await client.close()
    # The generator has not become so weak that all this says nothing.
    assert tally["executed"] > 0.4 * count, tally
    assert tally["refused"] > 0.2 * count, tally
    assert knowledge.ids
    assert knowledge.cursors
    assert CANARY not in logged.text


async def _restricted_key(server: LiveServer) -> str:
    """A key that may read and write some aliases, and do nothing else."""
    scopes = '["model_config:read", "model_config:write"]'
    given = f'{{name: "restricted", scopes: {scopes}, aliases: ["fuzz/*", "general"]}}'
    http = Http(server, server.admin_key)
    made = await http.send(
        Request(f"mutation {{ createApiKey(input: {given}) {{ ... on CreateApiKeyPayload {{ secret }} }} }}").body(),
        None,
    )
    await http.close()
    return str(made.payload["data"]["createApiKey"]["secret"])


def _request(rng: random.Random, knowledge: Knowledge) -> Request:
    kind = rng.random()
    if kind < 0.5:
        return Documents(SCHEMA, rng, knowledge).request()
    if kind < 0.75:
        return Documents(SCHEMA, rng, knowledge, wrongness=0.4).request()
    return damaged(Documents(SCHEMA, rng, knowledge).request(), rng)


def _checked(answer: Answer, expected: Verdict, subscription: bool, allowed: set[str]) -> str:
    """What became of the request. Fails when that is not what should have."""
    assert answer.status is None or answer.status < 500
    codes = _check_errors(answer.payload, allowed)
    assert "errors" in answer.payload or "data" in answer.payload
    if not expected.valid:
        assert "data" not in answer.payload
        assert codes <= {"BAD_USER_INPUT", "LIMIT_EXCEEDED"}
        return "refused"
    if "data" in answer.payload:
        return "executed"
    if subscription and (answer.status in {400, 406} or _refused_by_resolver(answer.payload)):
        return "subscription"
    assert codes == {"LIMIT_EXCEEDED"}
    return "limited"


def _refused_by_resolver(payload: dict[str, Any]) -> bool:
    """A source that cannot be made is an error of the subscribe itself, without data."""
    (error,) = payload["errors"]
    return error["extensions"]["code"] == "FORBIDDEN" or error["message"].startswith(RESOLVERS_WORDS)


def _check_errors(payload: dict[str, Any], allowed: set[str]) -> set[str]:
    """The codes of an answer's errors. Fails for an error that is none of theirs who ask."""
    for error in payload.get("errors", []):
        assert error["message"]
        assert error["extensions"]["code"] in allowed, error
        if "data" in payload:
            # Of a field. Without a path it would be said of the document, which then has no data.
            assert error["path"], error
    return {error["extensions"]["code"] for error in payload.get("errors", [])}
