"""An OpenAI-compatible endpoint that answers without any provider: each answer names the model that was asked for.

The demo and the tests make their completions against it, so that LiteLLM and the wire between are the real ones.
`python -m modelwire.cli.demo.endpoint --port 8500` runs it alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import struct
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

API_KEY_VARIABLE = "MODELWIRE_DEMO_ENDPOINT_KEY"
EMBEDDING_DIMENSIONS = 8


def app_factory(api_key: str | None = None, models: tuple[str, ...] = ()) -> Starlette:
    """The endpoint as an ASGI app. With `api_key` every request must carry it; `models` is what /v1/models lists.

    Any model name is answered, whether it is listed or not.
    """
    app = Starlette(
        routes=[
            Route("/v1/models", _models, methods=["GET"]),
            Route("/v1/chat/completions", _chat_completions, methods=["POST"]),
            Route("/v1/embeddings", _embeddings, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _error},
    )
    app.state.api_key = api_key
    app.state.models = models
    return app


async def _error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 -- registered for HTTPException alone
    kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
    body = {"error": {"message": error.detail, "type": kind, "param": None, "code": None}}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def _authenticate(request: Request) -> None:
    expected = request.app.state.api_key
    given = request.headers.get("authorization", "").encode()
    if expected is not None and not hmac.compare_digest(given, f"Bearer {expected}".encode()):
        raise HTTPException(401, "the API key of this endpoint is missing or wrong")


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise HTTPException(400, "the body is an object with a model, a string")
    return body


async def _models(request: Request) -> Response:
    _authenticate(request)
    data = [
        {"id": model, "object": "model", "created": 0, "owned_by": "modelwire"} for model in request.app.state.models
    ]
    return JSONResponse({"object": "list", "data": data})


async def _chat_completions(request: Request) -> Response:
    _authenticate(request)
    body = await _body(request)
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise HTTPException(400, "messages is a list with at least one message")
    message, finish_reason = _answer(body)
    head: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": body["model"]}
    usage = _usage(json.dumps(body["messages"]), message.get("content") or "")
    if body.get("stream"):
        include_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = _chunks(head, message, finish_reason, usage if include_usage else None)
        return StreamingResponse(chunks, media_type="text/event-stream")
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish_reason}
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


def _answer(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The message and why it ends: a call of the tool that `tool_choice` demands, else one sentence."""
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    if tools and (choice == "required" or isinstance(choice, dict)):
        wanted = choice["function"]["name"] if isinstance(choice, dict) else tools[0]["function"]["name"]
        call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": {"name": wanted, "arguments": "{}"}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    return {"role": "assistant", "content": f"This is {body['model']}."}, "stop"


def answering_model(answer: str) -> str:
    """The model that was asked for, from what the endpoint answered."""
    return answer.removeprefix("This is ").removesuffix(".")


def _usage(prompt: str, answer: str) -> dict[str, int]:
    tokens = len(prompt.split()), len(answer.split())
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}


async def _chunks(
    head: dict[str, Any], message: dict[str, Any], finish_reason: str, usage: dict[str, int] | None
) -> AsyncIterator[str]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message["content"] is None:
        deltas.append({"tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
    else:
        deltas.extend({"content": piece} for piece in message["content"].splitlines(keepends=True) or [""])
    events: list[list[dict[str, Any]]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    events.append([{"index": 0, "delta": {}, "finish_reason": finish_reason}])
    for choices in events:
        yield _event({**head, "object": "chat.completion.chunk", "choices": choices})
    if usage is not None:
        yield _event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


async def _embeddings(request: Request) -> Response:
    _authenticate(request)
    body = await _body(request)
    given = body.get("input")
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    if given in (None, "", []):
        raise HTTPException(400, "input is a text or a list of texts")
    as_base64 = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(json.dumps(text), as_base64=as_base64)}
        for index, text in enumerate(inputs)
    ]
    tokens = sum(len(str(text).split()) for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _embedding(text: str, *, as_base64: bool) -> str | list[float]:
    """A vector that is the same for the same text; it has no other meaning."""
    digest = hashlib.sha256(text.encode()).digest()
    vector = [byte / 255 for byte in digest[:EMBEDDING_DIMENSIONS]]
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector


def main() -> None:
    """Serve it on loopback until SIGTERM or Ctrl-C. The key, when there is one, comes from the environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", action="append", default=[], help="a name that /v1/models lists")
    arguments = parser.parse_args()
    app = app_factory(os.environ.get(API_KEY_VARIABLE) or None, tuple(arguments.model))
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
