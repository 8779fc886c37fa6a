"""Sessions and tokens on a real server: signing in, staying signed in, signing out, and who gets in at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from live_server import LiveServer, live_server
from session_documents import CREATE, REFRESH, SIGN_IN, SIGN_OUT, VIEWER, Visitor, closed, receive, websocket
from stand_ins.oidc_issuer import rsa_key

from modelwire.server.denials import Denials

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG_KEY = "mw_aaaaaaaaaa_" + "ca" * 32


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    folder = tmp_path_factory.mktemp("sessions")
    async with live_server(folder, sign_in_attempts_per_minute=10_000) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(server: LiveServer) -> AsyncIterator[Visitor]:
    async with Visitor(server.url) as visitor:
        yield visitor


async def audited(server: LiveServer, action: str) -> list[Any]:
    entries = await server.services.store.audit_log.page(first=100)
    return [entry.details for entry in entries if entry.action == action]


async def test_a_key_is_shown_once(server: LiveServer, visitor: Visitor) -> None:
    before = datetime.now(UTC)
    signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    assert signed_in["__typename"] == "SignInPayload"
    as_key = await visitor.ask(VIEWER, server.admin_key)
    as_session = await visitor.ask(VIEWER, signed_in["accessToken"])
    assert as_session == signed_in["viewer"]
    assert as_key["tokenExpiresAt"] is None
    ends = datetime.fromisoformat(as_session.pop("tokenExpiresAt"))
    assert timedelta(0) <= ends - before - timedelta(seconds=900) < timedelta(seconds=120)
    assert as_session == {name: value for name, value in as_key.items() if name != "tokenExpiresAt"}
    created = await visitor.ask(CREATE, signed_in["accessToken"], alias="by a session")
    assert created["modelConfig"]["createdBy"] == as_key["subject"]
    refreshed = await visitor.ask(REFRESH, refreshToken=signed_in["refreshToken"])
    assert refreshed["__typename"] == "RefreshSessionPayload"
    assert refreshed["sessionExpiresAt"] == signed_in["sessionExpiresAt"]
    assert await visitor.ask(VIEWER, refreshed["accessToken"]) == refreshed["viewer"]
    assert await visitor.ask(SIGN_OUT, refreshed["accessToken"]) == {"__typename": "SignOutPayload", "endedSessions": 1}
    for token in (signed_in["accessToken"], refreshed["accessToken"]):
        assert await visitor.refused(VIEWER, token) == ("UNAUTHENTICATED", "the session was ended: sign in again")
    assert (await visitor.ask(SIGN_OUT, server.admin_key))["message"].startswith("you are in no session")


OPEN = 'signIn(input: {apiKey: "mw_x"}) { __typename }'


@pytest.mark.parametrize(
    "query",
    [
        VIEWER,
        "{ __typename }",
        "{ __schema { queryType { name } } }",
        "mutation { __typename }",
        "mutation { signOut(input: {}) { __typename } }",
        f"mutation {{ {OPEN} deleteModelConfig(input: {{id: 1, expectedVersion: 1}}) {{ __typename }} }}",
        f"mutation {{ signIn: deleteModelConfig(input: {{id: 1, expectedVersion: 1}}) {{ __typename }} {OPEN} }}",
        f"mutation {{ ...F }} fragment F on Mutation {{ {OPEN} }}",
        f"mutation {{ ... {{ {OPEN} }} }}",
        f"mutation A {{ {OPEN} }} query B {{ __typename }}",
        "subscription { modelConfigChanged { revision } }",
        "mutation { signIn",
        f"mutation {{ {OPEN} }} # {'x' * 20_000}",
        "mutation { signIn(input: {}) { __typename } }",
        "",
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "text/event-stream"])
async def test_nothing_else_is_open_without_a_credential(visitor: Visitor, query: str, accept: str) -> None:
    answer = await visitor.post(query, headers={"accept": accept})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    assert error["message"].startswith("an API key is needed")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'{"query": 1}', b"x" * 2_000_000])
async def test_what_cannot_be_read_is_not_looked_into_either(visitor: Visitor, body: bytes) -> None:
    answer = await visitor.http.post(visitor.url, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_body_that_does_not_come_is_not_waited_for_long(server: LiveServer, visitor: Visitor) -> None:
    # One that is announced as larger than signing in needs is not read at all.
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port)
    writer.write(b"Content-Type: application/json\r\nContent-Length: 20000\r\n\r\n")
    async with asyncio.timeout(120):
        assert b" 401 " in await reader.readline()
    writer.close()


async def test_a_wrong_credential_does_not_sign_in(server: LiveServer, visitor: Visitor) -> None:
    for token in (WRONG_KEY, "a.b.c", "x"):
        answer = await visitor.post(SIGN_IN, token, given={"apiKey": server.admin_key})
        assert answer.status_code == 401
    answer = await visitor.post(SIGN_IN, headers={"authorization": "Basic eDp5"}, given={"apiKey": server.admin_key})
    assert answer.status_code == 401


async def test_a_get_signs_nobody_in(server: LiveServer, visitor: Visitor) -> None:
    variables = json.dumps({"input": {"apiKey": server.admin_key}})
    before = len(await audited(server, "session.create"))
    for headers, status in (({}, 401), ({"authorization": f"Bearer {server.admin_key}"}, 405)):
        answer = await visitor.http.get(visitor.url, params={"query": SIGN_IN, "variables": variables}, headers=headers)
        assert answer.status_code == status
    assert len(await audited(server, "session.create")) == before


async def test_a_stream_can_sign_in_too(server: LiveServer, visitor: Visitor) -> None:
    headers = {"accept": "text/event-stream"}
    answer = await visitor.post(SIGN_IN, given={"apiKey": server.admin_key}, headers=headers)
    assert answer.status_code == 200
    assert "accessToken" in answer.text


async def test_websockets_take_tokens_and_nobody_without(server: LiveServer, visitor: Visitor) -> None:
    async with websocket(server.url, None) as socket:
        code, reason = await closed(socket)
    assert (code, reason.partition(":")[0]) == (4401, "an API key is needed")
    signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    async with websocket(server.url, signed_in["accessToken"]) as socket:
        acknowledged = await receive(socket)
        told = datetime.fromisoformat(acknowledged["payload"]["tokenExpiresAt"])
        assert told == datetime.fromisoformat(signed_in["viewer"]["tokenExpiresAt"])
        # No cookie comes by websocket; tokens do.
        given = {"apiKey": server.admin_key, "cookie": True}
        request = {"query": SIGN_IN, "variables": {"input": given}}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": request}))
        answer = (await receive(socket))["payload"]["data"]["signIn"]
        assert (answer["__typename"], answer["path"]) == ("InvalidInput", ["input", "cookie"])


@pytest.mark.parametrize("end", ["sign out", "reuse"])
async def test_the_end_of_a_session_closes_its_sockets(server: LiveServer, visitor: Visitor, end: str) -> None:
    signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    other = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    async with (
        websocket(server.url, signed_in["accessToken"]) as socket,
        websocket(server.url, other["accessToken"]) as bystander,
        websocket(server.url, server.admin_key) as by_key,
    ):
        for each in (socket, bystander, by_key):
            assert (await receive(each))["type"] == "connection_ack"
        if end == "sign out":
            await visitor.ask(SIGN_OUT, signed_in["accessToken"])
            reason = "the session was ended: sign in again"
        else:
            token = signed_in["refreshToken"]
            for _ in range(2):
                token = (await visitor.ask(REFRESH, refreshToken=token))["refreshToken"]
            code, reason = await visitor.refused(REFRESH, refreshToken=signed_in["refreshToken"])
            assert code == "UNAUTHENTICATED"
            assert (await visitor.refused(REFRESH, refreshToken=token)) == (code, reason)
        assert await closed(socket) == (4403, reason)
        for each in (bystander, by_key):
            await each.send(json.dumps({"type": "ping"}))
            assert (await receive(each))["type"] == "pong"


async def test_what_is_signed_in_and_what_is_not_is_audited(
    server: LiveServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    created = (await audited(server, "session.create"))[0]
    assert created["source"] == "127.0.0.1"
    counted: list[str] = []
    monkeypatch.setattr(Denials, "unauthenticated", lambda _self, error: counted.append(str(error)))
    assert await visitor.refused(SIGN_IN, apiKey=WRONG_KEY) == ("UNAUTHENTICATED", "the API key is not valid")
    assert (await visitor.refused(REFRESH, refreshToken="a.b.c"))[0] == "UNAUTHENTICATED"
    assert (await visitor.refused(REFRESH))[0] == "UNAUTHENTICATED"
    await visitor.refused(VIEWER)
    assert [text.partition(":")[0] for text in counted] == [
        "the API key is not valid",
        "the token is not valid",
        "there is no refresh token",
        "an API key is needed",
    ]
    # Nobody is denied who is let in.
    await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    await visitor.ask(REFRESH, refreshToken=signed_in["refreshToken"])
    assert len(counted) == 4
    entries = await server.services.store.audit_log.page(first=100)
    text = " ".join(str(entry) for entry in entries)
    for secret in (server.admin_key, WRONG_KEY, signed_in["accessToken"], signed_in["refreshToken"]):
        assert secret not in text


async def test_forged_tokens_open_nothing(server: LiveServer, visitor: Visitor) -> None:
    signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
    good, refresh = signed_in["accessToken"], signed_in["refreshToken"]
    header, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        empty = jwt.encode(claims, "x", "HS256", headers={"kid": kid})
    forged = [
        jwt.encode(claims, None, "none", headers={"kid": kid}),
        empty,
        jwt.encode(claims, rsa_key(), "RS256", headers={"kid": kid}),
        jwt.encode(claims | {"iss": "https://evil.example"}, rsa_key(), "RS256"),
        refresh,
        f"{header}.{payload}.{refresh.split('.')[2]}",
        f"{header}.{payload}.{signature[:-2]}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"..{signature}",
        "..",
    ]
    for token in forged:
        answer = await visitor.post(VIEWER, token)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), token
        async with websocket(server.url, token) as socket:
            assert (await closed(socket))[0] == 4401
    # Nor is the one token taken for the other.
    assert (await visitor.refused(REFRESH, refreshToken=good)) == ("UNAUTHENTICATED", "the token is not valid")
    assert (await visitor.refused(SIGN_IN, apiKey=good))[0] == "UNAUTHENTICATED"
    await visitor.ask(VIEWER, good)
    await visitor.ask(REFRESH, refreshToken=refresh)


async def test_attempts_to_sign_in_are_limited(tmp_path: Path) -> None:
    async with live_server(tmp_path, sign_in_attempts_per_minute=3) as server, Visitor(server.url) as visitor:
        codes = [(await visitor.refused(SIGN_IN, apiKey=WRONG_KEY))[0] for _ in range(4)]
        assert codes == ["UNAUTHENTICATED"] * 3 + ["LIMIT_EXCEEDED"]
        # Whoever has a credential goes on, and another address too.
        code, message = await visitor.refused(SIGN_IN, apiKey=server.admin_key)
        assert code == "LIMIT_EXCEEDED"
        assert "try again in" in message
        await visitor.ask(VIEWER, server.admin_key)
        # Several in one request are several attempts.
        one = f'signIn(input: {{apiKey: "{WRONG_KEY}"}}) {{ __typename }}'
        answer = await visitor.post(f"mutation {{ a: {one} }}")
        assert answer.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
