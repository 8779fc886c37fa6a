"""A running server with an OIDC issuer, where everything is there that somebody may try to change, and who tries."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
from live_server import LiveServer, live_server
from session_documents import SIGN_IN, Visitor, receive, websocket
from sqlalchemy import Engine, event
from stand_ins.oidc_issuer import AUDIENCE, Issuer, running_issuer
from websockets.asyncio.client import ClientConnection

from modelwire.server import app
from modelwire.server import denials as server_denials
from modelwire.server.denials import Denials
from modelwire.store import AliasPatterns, ApiKey, Auth, AuthType, ModelConfig, ModelConfigDraft, sqlite

DENIED = "access.denied"


@dataclass(frozen=True)
class Answer:
    """`status` is that of HTTP; `errors` are those of GraphQL."""

    status: int
    data: Any
    errors: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]

    @classmethod
    def of(cls, result: dict[str, Any], status: int = 200) -> Answer:
        return cls(status, result.get("data"), result.get("errors", []))


@dataclass(frozen=True)
class Key:
    """An API key; `secret` is the whole of it."""

    id: str
    secret: str

    @property
    def subject(self) -> str:
        return f"api_key:{self.id}"


@dataclass
class World:
    """`denials` are those of the server; they are in the audit log after `denied`."""

    server: LiveServer
    issuer: Issuer
    denials: Denials
    http: httpx.AsyncClient
    database: sqlite3.Connection
    key_file: Path
    visitor_key: str = ""

    async def key(
        self, scopes: Collection[str], *, aliases: tuple[str, ...] | None = None, name: str = "tests", **more: Any
    ) -> Key:
        """An API key with these scopes, which may be none: a newer version may have made it."""
        key_id, secret = secrets.token_hex(5), secrets.token_hex(32)
        key = ApiKey(
            id=key_id,
            name=name,
            scopes=frozenset(scopes),
            aliases=AliasPatterns(aliases),
            created_at=datetime.now(UTC) - timedelta(days=1),
            created_by="tests",
            secret_hash=hashlib.sha256(secret.encode()).hexdigest(),
            **more,
        )
        await self.server.services.store.api_keys.add(key)
        return Key(key_id, f"mw_{key_id}_{secret}")

    async def sign_in(self, api_key: str) -> dict[str, Any]:
        answer = await self.over_http(SIGN_IN, None, {"input": {"apiKey": api_key}})
        payload: dict[str, Any] = answer.data["signIn"]
        return payload

    async def config(self, alias: str) -> ModelConfig:
        """The config with this alias, at its second version or a later one."""
        found = await self.server.services.store.find(alias=alias)
        if found is not None:
            return found
        auth = Auth(type=AuthType.API_KEY, fields={"api_key": "os.environ/OPENAI_API_KEY"})
        async with self.server.services.store.transaction(by="tests") as transaction:
            draft = ModelConfigDraft(alias=alias, provider="openai", model="first", auth=auth)
            created = await transaction.create(draft)
            second = ModelConfigDraft(alias=alias, provider="openai", model="second", auth=auth)
            return await transaction.update(created, second)

    async def forget(self, alias: str) -> None:
        """Have no config with this alias."""
        found = await self.server.services.store.find(alias=alias)
        if found is not None:
            async with self.server.services.store.transaction(by="tests") as transaction:
                await transaction.delete(found)

    async def over_http(
        self, document: str, authorization: str | None, variables: dict[str, Any] | None = None
    ) -> Answer:
        response = await self.http.post(
            self.server.url, json=_body(document, variables), headers=_headers(authorization)
        )
        return Answer.of(response.json(), response.status_code)

    async def over_sse(
        self, document: str, authorization: str | None, variables: dict[str, Any] | None = None
    ) -> Answer:
        """The first event."""
        headers = _headers(authorization) | {"accept": "text/event-stream"}
        request = self.http.stream("POST", self.server.url, json=_body(document, variables), headers=headers)
        async with request as response:
            if response.headers["content-type"].startswith("application/json"):
                return Answer.of(json.loads(await response.aread()), response.status_code)
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    return Answer.of(json.loads(line.removeprefix("data: ")), response.status_code)
        raise AssertionError("the stream ended without an event")

    def everything(self) -> dict[str, list[Any]]:
        """All that is stored, but for denials, and when a key was last used."""
        names = [name for (name,) in self.database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        stored = {name: self.database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
        columns = [each[1] for each in self.database.execute("PRAGMA table_info(api_keys)")]
        used = columns.index("last_used_at")
        stored["api_keys"] = [row[:used] + row[used + 1 :] for row in stored["api_keys"]]
        stored["audit_log"] = [row for row in stored["audit_log"] if json.loads(row[1])["action"] != DENIED]
        return stored

    async def denied(self) -> Counter[tuple[str, str]]:
        """Who was denied what since the last time, by the audit log: how often each actor, and which field or why."""
        before = self._last_row()
        await self.denials.write()
        found: Counter[tuple[str, str]] = Counter()
        for (entry,) in self.database.execute("SELECT entry FROM audit_log WHERE sequence > ?", (before,)):
            row = json.loads(entry)
            details = row["details"]
            assert (row["action"], details["source"]) == (DENIED, "127.0.0.1"), row
            found[row["actor"], details.get("field") or details["reason"]] += details["count"]
        return found

    def _last_row(self) -> int:
        (last,) = self.database.execute("SELECT coalesce(max(sequence), 0) FROM audit_log").fetchone()
        return int(last)


class Socket:
    """A websocket of somebody."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._operations = 0

    async def ask(self, document: str, variables: dict[str, Any] | None = None) -> Answer:
        """The first result of an operation, which is ended then."""
        self._operations += 1
        operation = str(self._operations)
        await self._send(type="subscribe", id=operation, payload=_body(document, variables))
        while (frame := await receive(self._socket)).get("id") != operation:
            pass
        if frame["type"] == "error":
            return Answer(200, None, frame["payload"])
        await self._send(type="complete", id=operation)
        return Answer.of(frame["payload"])

    async def renew(self, token: str) -> dict[str, Any]:
        await self._send(type="ping", payload={"authorization": f"Bearer {token}"})
        while (frame := await receive(self._socket))["type"] != "pong":
            pass
        payload: dict[str, Any] = frame["payload"]
        return payload

    async def _send(self, **message: Any) -> None:
        await self._socket.send(json.dumps(message))


@asynccontextmanager
async def socket_of(world: World, token: str) -> AsyncIterator[Socket]:
    async with websocket(world.server.url, token) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        yield Socket(socket)


@asynccontextmanager
async def running_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    made: list[Denials] = []

    def denials(*arguments: Any) -> Denials:
        made.append(Denials(*arguments))
        return made[-1]

    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(running_issuer())
        settings = {
            "sign_in_attempts_per_minute": 10_000,
            "oidc_issuer": issuer.url,
            "oidc_audience": AUDIENCE,
            **settings,
        }
        stack.enter_context(mock.patch.object(app, "Denials", denials))
        stack.enter_context(mock.patch.object(sqlite, "configure", _configure_without_waiting))
        # Nobody else writes denials, however long this takes.
        stack.enter_context(mock.patch.object(server_denials, "INTERVAL_SECONDS", 86_400.0))
        server = await stack.enter_async_context(live_server(folder, **settings))
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=120))
        database = sqlite3.connect(f"file:{folder / 'modelwire.db'}?mode=ro", uri=True)
        stack.callback(database.close)
        world = World(server, issuer, made[0], http, database, folder / "modelwire.db.key")
        world.visitor_key = (await world.key({"model_config:read"}, name="visitor")).secret
        yield world


_configure = sqlite.configure


def _configure_without_waiting(engine: Engine, options: Any, *, prepare: bool) -> None:
    """No power is lost here, and there are hundreds of commits."""
    _configure(engine, options, prepare=prepare)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA synchronous = OFF")
        cursor.close()


async def other_world_tokens(world: World, folder: Path) -> tuple[str, str]:
    """An API key, and the access token of a session, of a server with another store and the same encryption key."""
    shutil.copy(world.key_file, folder)
    async with live_server(folder) as server, Visitor(server.url) as visitor:
        signed_in = await visitor.ask(SIGN_IN, apiKey=server.admin_key)
        return server.admin_key, signed_in["accessToken"]


def _body(document: str, variables: dict[str, Any] | None) -> dict[str, Any]:
    return {"query": document, "variables": variables or {}}


def _headers(authorization: str | None) -> dict[str, str]:
    return {} if authorization is None else {"authorization": authorization}
