"""What the tests of the adapter share. They run in the environment of google-adk, which ../test_adk.py makes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from modelwire.subscriber.testing import FakeControlPlane, fake_control_plane


class Endpoint:
    """Speaks OpenAI's chat completions. It asks for a tool as long as tools are offered and none was used yet."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}/v1"
        self.asked: list[tuple[str, dict[str, Any]]] = []
        """The key and the body of each request."""
        self.hold = asyncio.Event()
        """A stream waits for it after its first words."""
        self.hold.set()

    def params(self, name: str, key: str = "k", **more: Any) -> dict[str, Any]:
        return {"model": f"openai/{name}", "api_key": key, "api_base": self.base, "num_retries": 0, **more}

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append((request.headers["authorization"].removeprefix("Bearer "), body))
        if body["model"] == "broken":
            return JSONResponse({"error": {"message": "no such model"}}, status_code=404)
        message, reason = _answer(body)
        head = {"id": "c", "created": 1, "model": body["model"]}
        if body.get("stream"):
            return StreamingResponse(self._chunks(head, message, reason), media_type="text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def _chunks(self, head: dict[str, Any], message: dict[str, Any], reason: str) -> AsyncIterator[str]:
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if message["content"] is None:
            deltas.append({"tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
        else:
            first, *others = message["content"].split(" ")
            deltas += [{"content": first}, *({"content": f" {word}"} for word in others)]
        for index, delta in enumerate([*deltas, {}]):
            choice = {"index": 0, "delta": delta, "finish_reason": None if delta else reason}
            yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
            if index == 1:
                await self.hold.wait()
        yield "data: [DONE]\n\n"


def _answer(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    used = [message for message in body["messages"] if message["role"] == "tool"]
    if body.get("tools") and not used:
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"city": "Bern"})}
        call = {"id": "call_1", "type": "function", "function": function}
        return {"content": None, "tool_calls": [call]}, "tool_calls"
    told = f" and heard {used[-1]['content']}" if used else ""
    return {"content": f"I am {body['model']}{told}"}, "stop"


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint(listener.getsockname()[1])
        app = Starlette(routes=[Route("/v1/chat/completions", endpoint.chat, methods=["POST"])])
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield endpoint
        endpoint.hold.set()
        server.should_exit = True
        await serving


@pytest.fixture
def plane(endpoint: Endpoint) -> Iterator[FakeControlPlane]:
    plane = fake_control_plane({"general": endpoint.params("first", "key-1")})
    with plane:
        yield plane
