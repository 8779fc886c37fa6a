"""Local servers that answer chat calls in the providers' own wire formats: with the call of a tool, and with each class
of error. The first part of the path says with which, `ok` or an HTTP status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

# It looks like none of the formats that LiteLLM redacts by itself.
KEY = 'canary/7f3a+9c51/e2d8"4b60'
ARGUMENTS = {"city": "Lisbon"}


@dataclass
class ChatStandIn:
    """A running stand-in. `requests` are the paths, headers and bodies that it was asked with.

    `redirect_to` is where `/redirect` leads, and `now` what `/now` does. `began` is set when somebody asked `/never` or
    `/held`, `gone` when the connection of `/never` was closed; `/held` is answered when `go_on` is set.
    """

    port: int = 0
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    redirect_to: str = ""
    now: str = "ok"
    began: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _tool(body: Any) -> str:
    """The name of the tool that the caller offers, in any of the formats. A KeyError without one fails the test."""
    (tool,) = body["tools"]
    if "functionDeclarations" in tool or "function_declarations" in tool:
        (tool,) = tool.get("functionDeclarations") or tool["function_declarations"]
    return str(tool["function"]["name"] if "function" in tool else tool["name"])


def _openai(body: Any) -> Any:
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    function = {"name": _tool(body), "arguments": json.dumps(ARGUMENTS)}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 71, "completion_tokens": 9, "total_tokens": 80},
    }


def _anthropic(body: Any) -> Any:
    assert body["system"]
    return {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [
            {"type": "text", "text": "I look it up."},
            {"type": "tool_use", "id": "toolu", "name": _tool(body), "input": ARGUMENTS},
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 71, "output_tokens": 9},
    }


def _gemini(body: Any) -> Any:
    call = {"functionCall": {"name": _tool(body), "args": ARGUMENTS}}
    return {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": [call]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 71, "candidatesTokenCount": 9, "totalTokenCount": 80},
    }


def _ollama(body: Any) -> Any:
    function = {"name": _tool(body), "arguments": ARGUMENTS}
    return {
        "model": body["model"],
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "", "tool_calls": [{"function": function}]},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 71,
        "eval_count": 9,
    }


def _ollama_generate(body: Any) -> Any:
    # A model without tools of its own is told of them in the prompt.
    name = re.findall(r"['\"]name['\"]: ['\"](\w+)", body["prompt"] + body.get("system", ""))[-1]
    return {
        "model": body["model"],
        "created_at": "2026-01-01T00:00:00Z",
        "response": json.dumps({"name": name, "arguments": ARGUMENTS}),
        "done": True,
        "prompt_eval_count": 71,
        "eval_count": 9,
    }


def _ollama_show(_body: Any) -> Any:
    return {"capabilities": ["completion", "tools"], "template": "{{ .Tools }}", "model_info": {}}


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
}


def _error(format_: str, status: int, told: str) -> Response:
    """An error as the provider words it, with what it was sent in text and headers."""
    kind = _KINDS[status]
    text = f"{kind}: {told} ({json.dumps(told)})"
    body: Any = {"error": {"message": text, "type": kind, "code": kind}}
    if format_ == "anthropic":
        body = {"type": "error", "error": {"type": kind, "message": text}}
    elif format_ == "gemini":
        body = {"error": {"code": status, "message": text, "status": kind.upper()}}
    elif format_ == "ollama":
        body = {"error": text}
    return JSONResponse(body, status_code=status, headers={"x-request-id": told.replace('"', "")})


_FORMATS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("/chat/completions", "openai", _openai),
    ("/messages", "anthropic", _anthropic),
    (":generateContent", "gemini", _gemini),
    ("/api/chat", "ollama", _ollama),
    ("/api/generate", "ollama", _ollama_generate),
    ("/api/show", "ollama", _ollama_show),
)


_ANSWERS: dict[str, dict[str, Any]] = {
    "ok": {},
    "empty": {"choices": []},
    "miscounted": {"usage": {"prompt_tokens": 2**31, "completion_tokens": -1}},
}
"""What is different in an answer, which is one of OpenAI's format but for `ok`."""


def _bomb(reply: Any) -> bytes:
    """A good answer, and behind it a gigabyte of blanks in a megabyte."""
    # Without a checksum, which would not be that of the repetitions.
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(json.dumps(reply).encode()) + packer.flush(zlib.Z_FULL_FLUSH)
    # What follows a full flush stands for itself, and can be repeated.
    block = packer.compress(b" " * 1024 * 1024) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * 1024 + packer.flush()


def _sent_key(headers: dict[str, str]) -> str:
    for name in ("x-api-key", "x-goog-api-key"):
        if name in headers:
            return headers[name]
    return headers.get("authorization", "").removeprefix("Bearer ")


@contextlib.asynccontextmanager
async def running_chat_stand_in() -> AsyncIterator[ChatStandIn]:
    """All of them on a free port of loopback."""
    stand_in = ChatStandIn()

    async def answer(request: Request) -> Response:
        headers = dict(request.headers)
        body = json.loads(await request.body() or b"{}")
        stand_in.requests.append((request.url.path, headers, body))
        mode = request.path_params["mode"]
        mode = stand_in.now if mode == "now" else mode
        if mode == "held":
            stand_in.began.set()
            await stand_in.go_on.wait()
            mode = "ok"
        format_, reply = next((name, reply) for end, name, reply in _FORMATS if request.url.path.endswith(end))
        if reply is _ollama_show or mode in _ANSWERS:
            return JSONResponse({**reply(body), **_ANSWERS.get(mode, {})})
        if mode == "never":
            stand_in.began.set()
            while (await request.receive())["type"] != "http.disconnect":
                pass
            stand_in.gone.set()
            return Response()
        if mode == "redirect":
            return RedirectResponse(stand_in.redirect_to, status_code=307)
        if mode == "bomb":
            return Response(_bomb(reply(body)), media_type="application/json", headers={"content-encoding": "deflate"})
        if mode == "huge":
            return Response(b'{"x": "' + b"x" * 400_000 + b'"}', media_type="application/json")
        if mode == "text":
            return Response("<html>no JSON</html>", media_type="text/html")
        return _error(format_, int(mode), _sent_key(headers))

    app = Starlette(routes=[Route("/{mode}/{rest:path}", answer, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stand_in.port = listener.getsockname()[1]
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield stand_in
        server.should_exit = True
        await serving
