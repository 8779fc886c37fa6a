"""A scripted control plane on a real websocket, and a real OpenAI-compatible endpoint that records what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from modelwire.subscriber import DynamicModelProvider, LinkStatus, LiteLlm
from modelwire.subscriber.timing import Timing

FAST = Timing(
    backoff_first_seconds=0.005,
    backoff_max_seconds=0.02,
    slow_seconds=0.01,
    spread_seconds=0.01,
    silence_seconds=30,
    ping_seconds=10,
    open_seconds=10,
    acknowledge_seconds=0.005,
    renewal_least_seconds=0.01,
    close_seconds=0.2,
    override_seconds=10,
    probe_pause_seconds=0.01,
    probe_again_first_seconds=0.01,
    probe_again_max_seconds=0.02,
)


class Signal:
    """Wakes whoever waits for a condition, each time that something happened."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def poke(self, *_: object) -> None:
        self._event.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until it holds. The time limit only ends a test that would hang."""
        async with asyncio.timeout(120):
            while not condition():
                await self._event.wait()
                self._event.clear()


@dataclass(eq=False)
class Socket:
    """One connection as the plane sees it. `received` holds all messages; `open` the operations' aliases by id."""

    connection: ServerConnection
    received: list[dict[str, Any]] = field(default_factory=list)
    open: dict[str, str] = field(default_factory=dict)

    async def send(self, **message: Any) -> None:
        # It may be closed while an acknowledgement on it is being answered.
        with contextlib.suppress(ConnectionClosed):
            await self.connection.send(json.dumps(message))

    async def event(self, alias: str, **event: Any) -> None:
        for id_ in [id_ for id_, named in self.open.items() if named == alias]:
            await self.send(type="next", id=id_, payload={"data": {"modelConfigChanged": event}})

    def messages(self, type_: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["type"] == type_]

    def sinces(self) -> list[str | None]:
        return [message["payload"]["variables"].get("since") for message in self.messages("subscribe")]


class Plane:
    """Keeps configs and tells them to its sockets. Attributes let a test change how it behaves."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.acknowledged: list[dict[str, Any]] = []
        self.sockets: list[Socket] = []
        self.configs: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, str, dict[str, Any] | None, str | None]] = []
        self.revision = 0
        self.store = "one"
        self.compacted = False
        self.tokens: set[str] | None = None
        """The accepted tokens; None accepts all."""
        self.denied: str | None = None
        """The code with which subscriptions are answered; None answers them."""
        self.denied_alias: str | None = None
        """Answers subscriptions of this alias alone with FORBIDDEN."""
        self.refuse: str | None = None
        """The code of an `error` for each subscribe; None takes them."""
        self.token_seconds: float | None = None
        """How long tokens last, from the moment that one is shown; None says nothing of it."""
        self.refused_tokens: set[str] = set()
        """Those that are not taken for a renewal."""
        self.answers_renewals = True
        self.subscribed: Counter[str] = Counter()
        """How often each alias was subscribed to."""
        self.silent = False
        self.mute_at_init = False
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def position(self) -> str:
        return f"{self.store}-{self.revision}"

    async def start(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            await server.wait_closed()

    async def close_sockets(self, code: int, reason: str = "") -> None:
        for socket in tuple(self.sockets):
            await socket.connection.close(code, reason)

    async def put(self, alias: str, *, config_id: str = "a", version: int, name: str = "m", **more: Any) -> None:
        await self.transaction({alias: config(alias, config_id, version, name, **more)})

    async def remove(self, alias: str) -> None:
        await self.transaction({alias: None})

    async def transaction(self, changes: dict[str, dict[str, Any] | None]) -> None:
        """Write several configs by alias, None for one that left it, at one revision."""
        self.revision += 1
        for alias, new in changes.items():
            old = self.configs.pop(alias, None)
            gone = old["id"] if old and (new is None or new["id"] != old["id"]) else None
            if new is not None:
                self.configs[alias] = {**new, "revision": self.position}
            self.log.append((self.revision, alias, self.configs.get(alias), gone))
            for socket in self.sockets:
                await socket.event(alias, **self._change(alias, self.revision - 1))

    def _change(self, alias: str, after: int) -> dict[str, Any]:
        rows = [row for row in self.log if row[1] == alias and row[0] > after]
        if not rows:
            return {"__typename": "Bookmark", "revision": self.position}
        put = [rows[-1][2]] if rows[-1][2] else []
        removed = [{"id": row[3], "alias": alias} for row in rows if row[3]]
        return {"__typename": "ModelConfigChange", "revision": self.position, "put": put, "removed": removed}

    def _snapshot(self, alias: str, *, reset: bool) -> dict[str, Any]:
        configs = [self.configs[alias]] if alias in self.configs else []
        return {
            "__typename": "ModelConfigSnapshot",
            "revision": self.position,
            "modelConfigs": configs,
            "reset": reset,
        }

    async def _serve(self, connection: ServerConnection) -> None:
        socket = Socket(connection)
        self.sockets.append(socket)
        self.signal.poke()
        try:
            async for text in connection:
                message = json.loads(text)
                if "input" in (message.get("payload") or {}).get("variables", ()):
                    await self._take(socket, message["id"], message["payload"]["variables"]["input"])
                    continue
                socket.received.append(message)
                self.signal.poke()
                if not self.silent:
                    await self._answer(socket, socket.received[-1])
                    self.signal.poke()
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(socket)
            self.signal.poke()

    async def _answer(self, socket: Socket, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                token = message["payload"]["authorization"].removeprefix("Bearer ")
                if self.tokens is not None and token not in self.tokens:
                    await socket.connection.close(4401, "Unauthorized")
                elif not self.mute_at_init:
                    await socket.send(type="connection_ack", payload=self._expiry())
            case "ping":
                await self._pong(socket, (message.get("payload") or {}).get("authorization"))
            case "complete":
                socket.open.pop(message["id"], None)
            case "subscribe":
                await self._subscribe(socket, message["id"], message["payload"]["variables"])

    async def _take(self, socket: Socket, id_: str, acknowledgement: dict[str, Any]) -> None:
        if not self.silent:
            self.acknowledged.append(acknowledgement)
            await socket.send(type="next", id=id_, payload={"data": {}})
            await socket.send(type="complete", id=id_)
            self.signal.poke()

    def _expiry(self) -> dict[str, Any]:
        if self.token_seconds is None:
            return {"tokenExpiresAt": None}
        return {"tokenExpiresAt": (datetime.now(UTC) + timedelta(seconds=self.token_seconds)).isoformat()}

    async def _pong(self, socket: Socket, authorization: str | None) -> None:
        if authorization is None or not self.answers_renewals:
            await socket.send(type="pong")
        elif authorization.removeprefix("Bearer ") in self.refused_tokens:
            await socket.send(type="pong", payload={"error": "the token was revoked"})
        else:
            await socket.send(type="pong", payload=self._expiry())

    async def _subscribe(self, socket: Socket, id_: str, variables: dict[str, Any]) -> None:
        errors = [{"message": "denied", "extensions": {"code": self.denied or self.refuse or "FORBIDDEN"}}]
        if self.refuse:
            await socket.send(type="error", id=id_, payload=errors)
            return
        (ref,) = variables["by"]
        alias = ref["alias"]
        self.subscribed[alias] += 1
        if self.denied or alias == self.denied_alias:
            await socket.send(type="next", id=id_, payload={"data": None, "errors": errors})
            return
        store, _, revision = (variables.get("since") or "-").partition("-")
        event = (
            self._change(alias, int(revision))
            if store == self.store and not self.compacted
            else self._snapshot(alias, reset=bool(store))
        )
        socket.open[id_] = alias
        await socket.send(type="next", id=id_, payload={"data": {"modelConfigChanged": event}})


def config(alias: str, config_id: str, version: int, name: str, **params: Any) -> dict[str, Any]:
    return {
        "id": config_id,
        "alias": alias,
        "version": version,
        "revision": "",
        "configured": True,
        "maxInputTokens": None,
        "litellmParams": {"model": f"openai/{name}", "api_key": "key", **params},
    }


class History:
    """All that a model went through."""

    def __init__(self, model: LiteLlm, signal: Signal) -> None:
        self.statuses = [model.status.value]
        self.versions: list[int | None] = []
        model.on_status_change(lambda _, new: self.statuses.append(new.value))
        model.on_settings_change(lambda _, new: self.versions.append(new.version if new else None))
        model.on_status_change(signal.poke)
        model.on_settings_change(signal.poke)


@pytest.fixture
async def signal() -> Signal:
    return Signal()


@pytest.fixture
async def plane(signal: Signal) -> AsyncIterator[Plane]:
    plane = Plane(signal)
    await plane.start()
    yield plane
    await plane.stop()


@dataclass
class Connected:
    """A provider in use, one model of it, and what they went through."""

    provider: DynamicModelProvider
    model: LiteLlm
    history: History
    links: list[LinkStatus]
    signal: Signal

    def get(self, alias: str) -> LiteLlm:
        """Another model of the provider; what it goes through wakes the test too."""
        model = self.provider.get_lite_llm_model(alias)
        History(model, self.signal)
        return model


@pytest.fixture
async def connect(plane: Plane, signal: Signal) -> AsyncIterator[Callable[..., Any]]:
    """Makes providers on the plane and closes them at the end."""
    made: list[DynamicModelProvider] = []

    async def connect(
        alias: str = "general", *, token: Any = "token", timing: Timing = FAST, **options: Any
    ) -> Connected:
        provider = DynamicModelProvider(plane.url, token=token, component="test", _timing=timing, **options)
        links: list[LinkStatus] = []
        provider.on_link_change(lambda _, new: links.append(new))
        provider.on_link_change(signal.poke)
        made.append(provider)
        model = provider.get_lite_llm_model(alias)
        history = History(model, signal)
        await provider.__aenter__()
        return Connected(provider, model, history, links, signal)

    yield connect
    for provider in made:
        await provider.close()


@dataclass(frozen=True)
class Asked:
    """One request as the endpoint saw it."""

    path: str
    key: str
    body: dict[str, Any]


class Endpoint:
    """An OpenAI-compatible endpoint in a thread of its own."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.hold = threading.Event()
        """A stream waits for it after its first chunk."""
        self.hold.set()
        self.port = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/messages", self._messages, methods=["POST"]),
                Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                Route("/v1/responses", self._responses, methods=["POST"]),
            ]
        )

    async def _record(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        self.asked.append(Asked(request.url.path, key, body))
        return body

    async def _chat(self, request: Request) -> Response:
        body = await self._record(request)
        if body.get("stream"):
            return StreamingResponse(self._chunks(body["model"]), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": f"I am {body['model']}"}
        if body.get("tool_choice") == "required":
            called = {"name": body["tools"][-1]["function"]["name"], "arguments": '{"who": "me"}'}
            message = {"role": "assistant", "tool_calls": [{"id": "t", "type": "function", "function": called}]}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
        return JSONResponse({**answer, "choices": [choice], "usage": usage})

    async def _chunks(self, model: str) -> AsyncIterator[str]:
        for index, text in enumerate(("I ", "am ", model, None)):
            choice = {
                "index": 0,
                "delta": {} if text is None else {"role": "assistant", "content": text},
                "finish_reason": "stop" if text is None else None,
            }
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n"
            if index == 0:
                await asyncio.to_thread(self.hold.wait)
        yield "data: [DONE]\n\n"

    async def _messages(self, request: Request) -> Response:
        """Anthropic's API."""
        body = await self._record(request)
        content = [{"type": "text", "text": f"I am {body['model']}"}]
        usage = {"input_tokens": 1, "output_tokens": 1}
        answer = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "stop_reason": "end_turn"}
        return JSONResponse({**answer, "stop_sequence": None, "content": content, "usage": usage})

    async def _embeddings(self, request: Request) -> Response:
        body = await self._record(request)
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})

    async def _responses(self, request: Request) -> Response:
        body = await self._record(request)
        content = [{"type": "output_text", "text": f"I am {body['model']}", "annotations": []}]
        output = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": content}
        answer = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": body["model"]}
        more = {"output": [output], "parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
        return JSONResponse({**answer, **more})


@pytest.fixture
def litellm_sockets() -> Iterator[None]:
    """Drops the connections that LiteLLM keeps for later calls and never closes, here and not in some later test."""
    yield
    if litellm := sys.modules.get("litellm"):
        litellm.in_memory_llm_clients_cache.flush_cache()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture
def endpoint(litellm_sockets: None) -> Iterator[Endpoint]:
    endpoint = Endpoint()
    ready = threading.Event()

    class Running(uvicorn.Server):
        async def startup(self, *args: Any, **kwargs: Any) -> None:
            await super().startup(*args, **kwargs)
            endpoint.port = self.servers[0].sockets[0].getsockname()[1]
            ready.set()

    server = Running(uvicorn.Config(endpoint.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(20)
    yield endpoint
    endpoint.hold.set()
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
