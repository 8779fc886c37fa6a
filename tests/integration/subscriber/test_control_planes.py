"""What the subscriber asks, and what it is answered: by the real server, and by the fake one for users' tests.

One suite for both, so that a component that passes its tests against the fake works with the server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from live_server import LiveServer, live_server, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from modelwire.server.graphql import WebSocketProtocol
from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm
from modelwire.subscriber.events import request
from modelwire.subscriber.testing import FakeControlPlane, fake_control_plane

from .conftest import FAST


class ControlPlane(Protocol):
    """Either one. `general` and `planning` are placeholders at first."""

    url: str
    token: str

    async def put(self, alias: str, name: str) -> None:
        """Create the config, or give it another model."""
        ...

    async def remove(self, alias: str) -> None: ...

    def cut(self) -> None:
        """Break the subscribers' connections."""
        ...


def arguments(name: str) -> dict[str, Any]:
    """LiteLLM's keyword arguments of a config."""
    return {"model": f"openai/{name}", "api_base": "https://llm.example/v1", "api_key": "k", "temperature": 0.5}


class Fake:
    token = "token"

    def __init__(self, plane: FakeControlPlane) -> None:
        self.plane = plane
        self.url = plane.url

    async def put(self, alias: str, name: str) -> None:
        self.plane.put(alias, {**arguments(name), "max_input_tokens": 7})

    async def remove(self, alias: str) -> None:
        self.plane.remove(alias)

    def cut(self) -> None:
        self.plane.cut()


class Real:
    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"
        self.token = server.admin_key
        self.http = httpx.AsyncClient(headers={"authorization": f"Bearer {self.token}"}, trust_env=False, timeout=60)

    async def put(self, alias: str, name: str) -> None:
        fields = {
            "provider": "openai",
            "model": name,
            "apiBase": "https://llm.example/v1",
            "auth": {"apiKey": {"apiKey": "k"}},
            "params": {"temperature": 0.5},
            "maxInputTokens": 7,
        }
        if (config := await self.find(alias)) is None:
            await self.mutate("create", {"alias": alias, **fields})
        else:
            await self.mutate("update", {"id": config["id"], "expectedVersion": config["version"], **fields})

    async def remove(self, alias: str) -> None:
        config = await self.find(alias)
        assert config
        await self.mutate("delete", {"id": config["id"], "expectedVersion": config["version"]})

    def cut(self) -> None:
        for connection in tuple(self.server.uvicorn.server_state.connections):
            if isinstance(connection, WebSocketProtocol):
                connection.transport.abort()

    async def find(self, alias: str) -> dict[str, Any] | None:
        query = "query ($alias: String!) { modelConfig(by: {alias: $alias}) { id version } }"
        found: dict[str, Any] | None = (await self.execute(query, alias=alias))["modelConfig"]
        return found

    async def mutate(self, kind: str, input_: dict[str, Any]) -> None:
        name = f"{kind}ModelConfig"
        type_ = name[0].upper() + name[1:]
        feed = self.server.services.feed
        before = feed.revision
        document = f"mutation ($input: {type_}Input!) {{ {name}(input: $input) {{ __typename }} }}"
        assert (await self.execute(document, input=input_))[name]["__typename"] == f"{type_}Payload"
        # A watch that begins before the feed has read the change hears of it a moment later; with the fake, at once.
        await until(lambda: feed.revision > before)

    async def execute(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = (await self.http.post(self.server.url, json={"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data


@asynccontextmanager
async def control_plane(kind: str, folder: Path) -> AsyncIterator[ControlPlane]:
    if kind == "fake":
        plane = fake_control_plane({"general": None, "planning": None}, token=Fake.token)
        with plane:
            yield Fake(plane)
    else:
        async with live_server(folder) as server:
            real = Real(server)
            yield real
            await real.http.aclose()


@pytest.fixture(params=["real", "fake"])
async def plane(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with control_plane(request.param, tmp_path / "data") as plane:
        yield plane


class Peer:
    """A client of the protocol, message by message."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, type_: str, **message: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, **message}))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(120):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def init(self, token: str) -> dict[str, Any]:
        await self.send("connection_init", payload={"authorization": f"Bearer {token}"})
        return await self.receive()

    async def watch(self, alias: str, since: str | None = None, *, id_: str = "1") -> dict[str, Any]:
        """Subscribe; the first event."""
        await self.send("subscribe", id=id_, payload=request(alias, since))
        return await self.event(id_)

    async def event(self, id_: str = "1") -> dict[str, Any]:
        message = await self.receive()
        assert (message["type"], message["id"], message["payload"].get("errors")) == ("next", id_, None)
        event: dict[str, Any] = message["payload"]["data"]["modelConfigChanged"]
        return event

    async def closed(self) -> int:
        """The code with which the other end closes."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


@pytest.fixture
async def greeted(plane: ControlPlane) -> AsyncIterator[Peer]:
    """A peer that has said nothing yet."""
    async with open_socket(plane) as socket:
        yield Peer(socket)


@pytest.fixture
async def peer(plane: ControlPlane, greeted: Peer) -> Peer:
    """A peer that is acknowledged."""
    assert (await greeted.init(plane.token))["type"] == "connection_ack"
    return greeted


def open_socket(plane: ControlPlane) -> connect:
    url = plane.url.replace("http", "ws") + "/graphql"
    return connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None, proxy=None)


async def test_the_acknowledgement_says_how_long_the_token_lasts(plane: ControlPlane, greeted: Peer) -> None:
    assert await greeted.init(plane.token) == {"type": "connection_ack", "payload": {"tokenExpiresAt": None}}


async def test_a_snapshot_then_changes(plane: ControlPlane, peer: Peer) -> None:
    await plane.put("mine", "first")
    snapshot = await peer.watch("mine")
    (config,) = snapshot["modelConfigs"]
    assert snapshot == {
        "__typename": "ModelConfigSnapshot",
        "revision": config["revision"],
        "reset": False,
        "modelConfigs": [config],
    }
    assert config == {
        "id": config["id"],
        "alias": "mine",
        "version": 1,
        "revision": config["revision"],
        "configured": True,
        "maxInputTokens": 7,
        "litellmParams": arguments("first"),
    }
    await plane.put("other", "elsewhere")
    await plane.put("mine", "second")
    change = await peer.event()
    (put,) = change["put"]
    assert put == {**config, "version": 2, "revision": change["revision"], "litellmParams": arguments("second")}
    assert (change["__typename"], change["removed"]) == ("ModelConfigChange", [])
    await plane.remove("mine")
    gone = await peer.event()
    assert (gone["put"], gone["removed"]) == ([], [{"id": config["id"], "alias": "mine"}])
    await plane.put("mine", "third")
    (anew,) = (await peer.event())["put"]
    assert anew["version"] == 1
    assert anew["id"] != config["id"]


async def test_a_placeholder_has_no_arguments(plane: ControlPlane, peer: Peer) -> None:
    (config,) = (await peer.watch("general"))["modelConfigs"]
    assert (config["configured"], config["litellmParams"], config["maxInputTokens"]) == (False, None, None)
    assert config["version"] == 1


async def test_an_alias_that_does_not_exist_has_an_empty_snapshot(plane: ControlPlane, peer: Peer) -> None:
    snapshot = await peer.watch("absent")
    assert (snapshot["reset"], snapshot["modelConfigs"]) == (False, [])


async def test_whoever_comes_back_is_told_the_difference(plane: ControlPlane, peer: Peer) -> None:
    await plane.put("mine", "first")
    snapshot = await peer.watch("mine")
    since, old = snapshot["revision"], snapshot["modelConfigs"][0]
    assert await peer.watch("mine", since, id_="2") == {"__typename": "Bookmark", "revision": since}
    await plane.put("other", "elsewhere")
    assert (await peer.watch("mine", since, id_="3"))["__typename"] == "Bookmark"
    await peer.send("complete", id="1")
    await peer.send("complete", id="2")
    await peer.send("complete", id="3")
    await plane.put("mine", "second")
    await plane.put("mine", "third")
    async with open_socket(plane) as socket:
        again = Peer(socket)
        await again.init(plane.token)
        change = await again.watch("mine", since)
        assert [(config["version"], config["litellmParams"]) for config in change["put"]] == [(3, arguments("third"))]
        assert change["removed"] == []
        await plane.remove("mine")
        await again.event()
        await plane.put("mine", "anew")
        await again.event()
        replaced = await again.watch("mine", since, id_="2")
        assert [config["version"] for config in replaced["put"]] == [1]
        assert replaced["removed"] == [{"id": old["id"], "alias": "mine"}]


async def test_what_came_and_went_meanwhile_is_nothing(plane: ControlPlane, peer: Peer) -> None:
    since = (await peer.watch("mine"))["revision"]
    await plane.put("mine", "short")
    await plane.remove("mine")
    async with open_socket(plane) as socket:
        again = Peer(socket)
        await again.init(plane.token)
        assert (await again.watch("mine", since))["__typename"] == "Bookmark"


async def test_a_position_of_another_store_begins_anew(plane: ControlPlane, peer: Peer) -> None:
    await plane.put("mine", "first")
    snapshot = await peer.watch("mine", "elsewhere-3")
    assert (snapshot["__typename"], snapshot["reset"]) == ("ModelConfigSnapshot", True)
    assert [config["alias"] for config in snapshot["modelConfigs"]] == ["mine"]
    store, _, number = snapshot["revision"].rpartition("-")
    ahead = await peer.watch("mine", f"{store}-{int(number) + 5}", id_="2")
    assert (ahead["__typename"], ahead["reset"]) == ("ModelConfigSnapshot", True)


@pytest.mark.parametrize("since", ["nonsense", "", "-", "store-", "store-x", "store-01"])
async def test_a_position_that_is_none_fails_the_operation_alone(plane: ControlPlane, peer: Peer, since: str) -> None:
    await peer.send("subscribe", id="1", payload=request("mine", since))
    answer = await peer.receive()
    errors = answer["payload"]["errors"] if answer["type"] == "next" else answer["payload"]
    assert [error["extensions"]["code"] for error in errors] == ["BAD_USER_INPUT"]
    assert (await peer.watch("mine", id_="2"))["modelConfigs"] == []


async def test_a_completed_operation_is_over_and_its_id_is_free(plane: ControlPlane, peer: Peer) -> None:
    await peer.watch("mine")
    await peer.send("complete", id="1")
    await peer.watch("other", id_="1")
    await plane.put("mine", "m")
    await plane.put("other", "m")
    assert [config["alias"] for config in (await peer.event())["put"]] == ["other"]


async def test_more_operations_than_one_connection_may_carry(plane: ControlPlane, peer: Peer) -> None:
    for number in range(50):
        await peer.watch("mine", id_=str(number))
    await peer.send("subscribe", id="50", payload=request("mine", None))
    answer = await peer.receive()
    assert (answer["type"], answer["id"]) == ("error", "50")
    assert [error["extensions"]["code"] for error in answer["payload"]] == ["LIMIT_EXCEEDED"]
    await peer.send("ping")
    assert (await peer.receive())["type"] == "pong"


async def test_pings_and_renewals(plane: ControlPlane, peer: Peer) -> None:
    await peer.send("ping")
    assert (await peer.receive()) == {"type": "pong"}
    await peer.send("ping", payload={"authorization": f"Bearer {plane.token}"})
    assert (await peer.receive()) == {"type": "pong", "payload": {"tokenExpiresAt": None}}
    await peer.send("ping", payload={"authorization": "Bearer wrong"})
    refused = await peer.receive()
    assert (refused["type"], list(refused["payload"])) == ("pong", ["error"])
    await peer.send("pong")
    assert (await peer.watch("mine"))["modelConfigs"] == []


@pytest.mark.parametrize("payload", [{}, None, {"authorization": "Bearer wrong"}, {"authorization": "wrong"}])
async def test_without_the_right_token_nobody_comes_in(greeted: Peer, payload: Any) -> None:
    await greeted.send("connection_init", payload=payload)
    assert await greeted.closed() == 4401


async def test_nobody_subscribes_before_the_acknowledgement(greeted: Peer) -> None:
    await greeted.send("subscribe", id="1", payload=request("mine", None))
    assert await greeted.closed() == 4401


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no JSON", 4400),
        ("[]", 4400),
        ("{}", 4400),
        ('{"type": "unheard-of"}', 4400),
        ('{"type": "ping", "payload": []}', 4400),
        ('{"type": "subscribe", "id": 1, "payload": {}}', 4400),
        ('{"type": "complete"}', 4400),
        (b"{}", 4400),
        ('{"type": "connection_init"}', 4429),
    ],
)
async def test_what_the_protocol_does_not_have_ends_the_connection(peer: Peer, frame: str | bytes, code: int) -> None:
    await peer.socket.send(frame)
    assert await peer.closed() == code


async def test_an_id_that_is_taken_ends_the_connection(peer: Peer) -> None:
    await peer.watch("mine")
    await peer.send("subscribe", id="1", payload=request("other", None))
    assert await peer.closed() == 4409


class Follower:
    """A provider's model, what it went through, and waiting for it."""

    def __init__(self, provider: DynamicModelProvider, model: LiteLlm) -> None:
        self.provider, self.model = provider, model
        self.statuses = [model.status.value]
        self.versions: list[int | None] = []
        self._changed, loop = asyncio.Event(), asyncio.get_running_loop()

        def poke(*_: object) -> None:
            loop.call_soon_threadsafe(self._changed.set)

        model.on_status_change(lambda _, new: self.statuses.append(new.value))
        model.on_settings_change(lambda _, new: self.versions.append(new.version if new else None))
        model.on_status_change(poke)
        model.on_settings_change(poke)
        provider.on_link_change(poke)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not condition():
                await self._changed.wait()
                self._changed.clear()


@asynccontextmanager
async def following(plane: ControlPlane) -> AsyncIterator[Follower]:
    async with DynamicModelProvider(plane.url, token=plane.token, component="test", _timing=FAST) as provider:
        yield Follower(provider, provider.get_lite_llm_model("general"))


async def test_a_model_goes_through_the_same(plane: ControlPlane) -> None:
    async with following(plane) as line:
        await line.until(lambda: line.provider.link.state is LinkState.LIVE)
        await plane.put("general", "first")
        await line.until(lambda: line.model.version == 2)
        assert line.model.litellm_params()["model"] == "openai/first"
        assert line.model.max_input_tokens == 7
        plane.cut()
        await plane.put("general", "second")
        await line.until(lambda: line.model.version == 3 and line.provider.link.state is LinkState.LIVE)
        assert line.statuses == ["initializing", "none", "ready"]
        assert line.versions == [2, 3]
