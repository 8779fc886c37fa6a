"""Tokens of an OIDC issuer on a real server: who they let in, and what happens while the issuer is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
import pytest_asyncio
from live_server import LiveServer, live_server
from session_documents import CREATE, SIGN_OUT, VIEWER, Visitor, closed, receive, websocket
from stand_ins.oidc_issuer import AUDIENCE, Issuer, running_issuer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as issuer:
        yield issuer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    folder = tmp_path_factory.mktemp("oidc")
    settings = {"oidc_issuer": issuer.url, "oidc_audience": AUDIENCE, "oidc_aliases_claim": "aliases"}
    async with live_server(folder, **settings) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(server: LiveServer) -> AsyncIterator[Visitor]:
    async with Visitor(server.url) as visitor:
        yield visitor


async def test_an_external_identity_has_the_rights_of_its_claims(issuer: Issuer, visitor: Visitor) -> None:
    scopes = ["model_config:read", "model_config:write"]
    token = issuer.token(sub="user|1", name="Ada", scope=" ".join(scopes), aliases=["team-*"])
    viewer = await visitor.ask(VIEWER, token)
    assert (viewer["subject"], viewer["name"], viewer["scopes"]) == ("oidc:user|1", "Ada", scopes)
    ends = jwt.decode(token, options={"verify_signature": False})["exp"] + 30
    assert datetime.fromisoformat(viewer["tokenExpiresAt"]) == datetime.fromtimestamp(ends, UTC)
    created = await visitor.ask(CREATE, token, alias="team-a")
    assert created["modelConfig"]["createdBy"] == "oidc:user|1"
    assert (await visitor.refused(CREATE, token, alias="other"))[0] == "FORBIDDEN"
    reader = issuer.token(aliases=["team-*"])
    assert (await visitor.refused(CREATE, reader, alias="team-b"))[0] == "FORBIDDEN"
    assert (await visitor.ask(SIGN_OUT, token))["__typename"] == "InvalidInput"


async def test_a_socket_is_open_for_as_long_as_its_token(issuer: Issuer, server: LiveServer) -> None:
    token = issuer.token()
    async with websocket(server.url, token) as socket:
        told = (await receive(socket))["payload"]["tokenExpiresAt"]
    ends = jwt.decode(token, options={"verify_signature": False})["exp"] + 30
    assert datetime.fromisoformat(told) == datetime.fromtimestamp(ends, UTC)


async def test_tokens_of_another_issuer_are_none(issuer: Issuer, visitor: Visitor) -> None:
    foreign = issuer.token(iss="https://evil.example")
    code, message = await visitor.refused(VIEWER, foreign)
    assert (code, "no issuer that this server knows" in message) == ("UNAUTHENTICATED", True)
    code, message = await visitor.refused(VIEWER, issuer.token(aud="another"))
    assert (code, message) == ("UNAUTHENTICATED", "the token is for another audience")


async def test_an_issuer_that_is_down(tmp_path: Path) -> None:
    async with running_issuer() as gone:
        token = gone.token()
    settings = {"oidc_issuer": gone.url, "oidc_audience": AUDIENCE}
    async with live_server(tmp_path, **settings) as server, Visitor(server.url) as visitor:
        answer = await visitor.post(VIEWER, token)
        assert (answer.status_code, "www-authenticate" in answer.headers) == (503, False)
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
        # Not 4401, which clients take for final.
        async with websocket(server.url, token) as socket:
            assert (await closed(socket))[0] == 1013
        await visitor.ask(VIEWER, server.admin_key)
