"""Rights that change by a renewal, as those of an OIDC issuer's tokens may: over a socket, on the whole server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from live_server import LiveServer, live_server, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from modelwire.resolvers.access import ALL_SCOPES, Principal, Scope
from modelwire.resolvers.errors import Unauthenticated
from modelwire.server import app
from modelwire.store import AliasPatterns, ModelConfigDraft
from modelwire.subscriber import DynamicModelProvider, LinkState, ModelStatus

WATCH = """
subscription ($by: [ModelConfigRef!]) {
  modelConfigChanged(by: $by) {
    __typename
    ... on ModelConfigSnapshot { reset modelConfigs { alias } }
    ... on ModelConfigChange { put { alias litellmParams } }
  }
}
"""
EVERYTHING = Principal(subject="oidc:ada", name="Ada", scopes=ALL_SCOPES)
TOKENS = {
    "everything": EVERYTHING,
    "reader": replace(EVERYTHING, scopes=ALL_SCOPES - {Scope.MODEL_CONFIG_RESOLVE}),
    "narrow": replace(EVERYTHING, aliases=AliasPatterns(("a", "general"))),
    "nothing": replace(EVERYTHING, scopes=ALL_SCOPES - {Scope.MODEL_CONFIG_READ}),
    "other": replace(EVERYTHING, subject="oidc:grace"),
}


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveServer]:
    async def authenticate(_store: Any, authorization: str | None, *_: Any) -> Principal:
        try:
            return TOKENS[(authorization or "").removeprefix("Bearer ")]
        except KeyError:
            raise Unauthenticated("the token is not valid") from None

    monkeypatch.setattr(app, "authenticate", authenticate)
    # What was opened to a quiet subscription is seen with its next bookmark.
    async with live_server(tmp_path, bookmark_seconds=1) as server:
        await write(server, "a", "b")
        yield server


async def write(server: LiveServer, *aliases: str) -> None:
    """Create or change these configs, in one transaction."""
    async with server.services.store.transaction(by="test") as transaction:
        for alias in aliases:
            config = await transaction.find(alias=alias)
            draft = ModelConfigDraft(alias=alias, provider="openai", model=f"m{config.version if config else 0}")
            await (transaction.create(draft) if config is None else transaction.update(config, draft))


@dataclass
class Peer:
    """A client. Frames of operations wait in a queue for each."""

    socket: ClientConnection
    waiting: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self, key: str) -> dict[str, Any]:
        """The next frame with this id, or of this type when it has none."""
        async with asyncio.timeout(120):
            while not self.waiting.get(key):
                frame = json.loads(await self.socket.recv())
                self.waiting.setdefault(frame.get("id", frame["type"]), []).append(frame)
        return self.waiting[key].pop(0)

    async def watch(self, id_: str, *aliases: str) -> dict[str, Any]:
        by = [{"alias": alias} for alias in aliases]
        await self.send(type="subscribe", id=id_, payload={"query": WATCH, "variables": {"by": by}})
        return await self.event(id_)

    async def event(self, id_: str) -> dict[str, Any]:
        """The next event that is no bookmark."""
        return (await self.result(id_))["data"]["modelConfigChanged"]  # type: ignore[no-any-return]

    async def result(self, id_: str) -> dict[str, Any]:
        while True:
            frame = await self.next(id_)
            assert frame["type"] == "next", frame
            result: dict[str, Any] = frame["payload"]
            if result["data"]["modelConfigChanged"]["__typename"] != "Bookmark":
                return result

    async def refusal(self, id_: str) -> tuple[str, str]:
        """The end of an operation: code and message."""
        async with asyncio.timeout(120):
            while (frame := await self.next(id_))["type"] == "next":
                assert frame["payload"]["data"]["modelConfigChanged"] == {"__typename": "Bookmark"}
        assert frame["type"] == "error", frame
        (error,) = frame["payload"]
        return error["extensions"]["code"], error["message"]

    async def renew(self, token: str) -> dict[str, Any]:
        await self.send(type="ping", payload={"authorization": f"Bearer {token}"})
        payload: dict[str, Any] = (await self.next("pong"))["payload"]
        return payload


@asynccontextmanager
async def peer(server: LiveServer, token: str = "everything") -> AsyncIterator[Peer]:
    url = server.url.replace("http", "ws")
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        found = Peer(socket)
        await found.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
        assert (await found.next("connection_ack"))["payload"] == {"tokenExpiresAt": None}
        yield found


GRANTED = {"tokenExpiresAt": None}


async def test_a_lost_alias_ends_its_subscription_and_is_gone_from_that_of_all(server: LiveServer) -> None:
    async with peer(server) as client:
        await client.watch("a", "a")
        await client.watch("b", "b")
        await client.watch("all")
        assert await client.renew("narrow") == GRANTED
        await write(server, "b", "a")
        assert [config["alias"] for config in (await client.event("a"))["put"]] == ["a"]
        code, message = await client.refusal("b")
        assert code == "FORBIDDEN"
        assert "'b'" in message
        snapshot = await client.event("all")
        assert snapshot == {
            "__typename": "ModelConfigSnapshot",
            "reset": True,
            "modelConfigs": [{"alias": "a"}, {"alias": "general"}],
        }
        await write(server, "b")
        await write(server, "a")
        assert await client.renew("everything") == GRANTED
        assert len((await client.watch("b", "b"))["modelConfigs"]) == 1
        # How many there are until the next snapshot depends on when the bookmark comes.
        while (event := await client.event("all"))["__typename"] == "ModelConfigChange":
            assert [config["alias"] for config in event["put"]] == ["a"]
        assert {config["alias"] for config in event["modelConfigs"]} >= {"a", "b", "planning"}


async def test_a_lost_scope_ends_the_subscription(server: LiveServer) -> None:
    async with peer(server) as client:
        await client.watch("all")
        assert await client.renew("nothing") == GRANTED
        await write(server, "a")
        code, message = await client.refusal("all")
        assert code == "FORBIDDEN"
        assert "model_config:read" in message


async def test_credentials_of_later_events_are_those_of_the_rights_of_then(server: LiveServer) -> None:
    async with peer(server) as client:
        await client.watch("a", "a")
        for token, given in (("reader", False), ("everything", True)):
            assert await client.renew(token) == GRANTED
            await write(server, "a")
            result = await client.result("a")
            (config,) = result["data"]["modelConfigChanged"]["put"]
            assert (config["litellmParams"] is not None) is given
            codes = [error["extensions"]["code"] for error in result.get("errors", [])]
            assert codes == ([] if given else ["FORBIDDEN"])


@pytest.mark.parametrize(("token", "error"), [("other", "somebody else"), ("forged", "not valid")])
async def test_what_is_refused_changes_nothing(server: LiveServer, token: str, error: str) -> None:
    async with peer(server) as client:
        await client.watch("b", "b")
        assert error in (await client.renew(token))["error"]
        await write(server, "b")
        assert [config["alias"] for config in (await client.event("b"))["put"]] == ["b"]


async def test_a_component_keeps_its_model_when_it_loses_the_alias_and_says_so(server: LiveServer) -> None:
    async with DynamicModelProvider(server.url, token="everything", component="test") as provider:
        model = provider.get_lite_llm_model("b")
        await model.wait_ready(timeout_seconds=120)
        (connection,) = server.services.endpoint._connections._open
        # As a renewal does, which a token without an expiry needs none of.
        connection._take(TOKENS["narrow"])  # type: ignore[attr-defined]
        await write(server, "b")
        await until(lambda: provider.link.state is LinkState.STALE, 120)
        assert "'b'" in (provider.link.last_error or "")
        assert (model.status, model.version) == (ModelStatus.READY, 1)
