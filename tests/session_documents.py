"""Signing in and out at a running server: the documents, and somebody who sends them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

TOKENS = "accessToken refreshToken sessionExpiresAt viewer { subject name scopes tokenExpiresAt }"
SIGN_IN = f"""mutation ($input: SignInInput!) {{ signIn(input: $input) {{
  __typename ... on SignInPayload {{ {TOKENS} }} ... on UserError {{ message path }} }} }}"""
REFRESH = f"""mutation ($input: RefreshSessionInput!) {{ refreshSession(input: $input) {{
  __typename ... on RefreshSessionPayload {{ {TOKENS} }} ... on UserError {{ message path }} }} }}"""
SIGN_OUT = """mutation ($input: SignOutInput!) { signOut(input: $input) {
  __typename ... on SignOutPayload { endedSessions } ... on UserError { message path } } }"""
VIEWER = "{ viewer { subject name scopes tokenExpiresAt } }"

CREATE = """mutation ($input: CreateModelConfigInput!) { createModelConfig(input: $input) {
  ... on CreateModelConfigPayload { modelConfig { createdBy } } ... on UserError { message } } }"""


class Visitor:
    """Somebody with a browser or a program, and no credential of their own. `origin` is that of a web page."""

    def __init__(self, url: str, *, origin: str | None = None) -> None:
        headers = {} if origin is None else {"origin": origin}
        self.url = url
        self.http = httpx.AsyncClient(headers=headers, trust_env=False, timeout=60)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def post(self, query: str, token: str | None = None, **options: Any) -> httpx.Response:
        """`token` goes into the header; `given` becomes the variable `input`, `headers` are added."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        variables = {"input": options["given"]} if "given" in options else {}
        body = {"query": query, "variables": variables}
        return await self.http.post(self.url, json=body, headers=headers | options.get("headers", {}))

    async def ask(self, query: str, token: str | None = None, **given: Any) -> Any:
        """What the only field of an operation answers, which must go well."""
        answer = (await self.post(query, token, given=given)).json()
        assert "errors" not in answer, answer
        (result,) = answer["data"].values()
        return result

    async def refused(self, query: str, token: str | None = None, **given: Any) -> tuple[str, str]:
        """The code and the message of the error that an operation is answered with."""
        (error,) = (await self.post(query, token, given=given)).json()["errors"]
        return error["extensions"]["code"], error["message"]


@asynccontextmanager
async def websocket(server_url: str, token: str | None) -> AsyncIterator[ClientConnection]:
    """A websocket that has introduced itself."""
    url = server_url.replace("http", "ws")
    async with connect(url, subprotocols=["graphql-transport-ws"], proxy=None) as socket:  # type: ignore[list-item]
        payload = {} if token is None else {"authorization": f"Bearer {token}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        yield socket


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(120):
        return json.loads(await socket.recv())


async def closed(socket: ClientConnection) -> tuple[int, str]:
    """How the server closes a websocket."""
    while True:
        try:
            await receive(socket)
        except ConnectionClosed as ended:
            return (0, "without a word") if ended.rcvd is None else (ended.rcvd.code, ended.rcvd.reason)
