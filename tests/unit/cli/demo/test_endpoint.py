from __future__ import annotations

import base64
import json
import struct
from typing import Any

import httpx
import pytest

from modelwire.cli.demo.endpoint import EMBEDDING_DIMENSIONS, answering_model, app_factory

KEY = "sk-test"
MESSAGES = [{"role": "user", "content": "Which model are you?"}]


def client(**headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app_factory(KEY, ("first-model",)))
    return httpx.AsyncClient(transport=transport, base_url="http://endpoint/v1", headers=headers)


async def post(path: str, body: Any) -> httpx.Response:
    async with client(authorization=f"Bearer {KEY}") as http:
        return await http.post(path, json=body)


async def test_the_answer_names_the_model_that_was_asked_for() -> None:
    answer = (await post("/chat/completions", {"model": "any-model", "messages": MESSAGES})).json()
    assert answer["model"] == "any-model"
    assert answering_model(answer["choices"][0]["message"]["content"]) == "any-model"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


async def test_a_stream_gives_the_same_answer_in_pieces() -> None:
    body = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    response = await post("/chat/completions", body)
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    pieces = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    assert "".join(pieces) == "This is m."
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_that_is_demanded_is_called(stream: bool) -> None:
    tools = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("first", "second")]
    choice = {"type": "function", "function": {"name": "second"}}
    body = {"model": "m", "messages": MESSAGES, "tools": tools, "tool_choice": choice, "stream": stream}
    text = (await post("/chat/completions", body)).text
    assert '"name": "second"' in text or '"name":"second"' in text
    assert "tool_calls" in text


async def test_tools_that_are_only_offered_are_not_called() -> None:
    tools = [{"type": "function", "function": {"name": "first", "parameters": {}}}]
    answer = (await post("/chat/completions", {"model": "m", "messages": MESSAGES, "tools": tools})).json()
    assert answer["choices"][0]["message"]["content"] == "This is m."


async def test_embeddings_are_the_same_for_the_same_text_in_both_encodings() -> None:
    plain = (await post("/embeddings", {"model": "m", "input": ["a", "b", "a"]})).json()
    vectors = [item["embedding"] for item in plain["data"]]
    assert vectors[0] == vectors[2] != vectors[1]
    encoded = (await post("/embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})).json()
    packed = base64.b64decode(encoded["data"][0]["embedding"])
    assert struct.unpack(f"<{EMBEDDING_DIMENSIONS}f", packed) == pytest.approx(vectors[0])


async def test_the_models_are_listed() -> None:
    async with client(authorization=f"Bearer {KEY}") as http:
        models = (await http.get("/models")).json()
    assert [model["id"] for model in models["data"]] == ["first-model"]


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer sk-other"}])
@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
async def test_another_key_is_refused(headers: dict[str, str], path: str) -> None:
    async with client(**headers) as http:
        response = await http.post(path, json={"model": "m", "messages": MESSAGES, "input": "a"})
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", []),
        ("/chat/completions", {"messages": MESSAGES}),
        ("/chat/completions", {"model": 1, "messages": MESSAGES}),
        ("/chat/completions", {"model": "m"}),
        ("/chat/completions", {"model": "m", "messages": []}),
        ("/embeddings", {"model": "m"}),
        ("/embeddings", {"model": "m", "input": []}),
    ],
)
async def test_malformed_requests_are_refused(path: str, body: Any) -> None:
    response = await post(path, body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_what_is_no_json_is_refused() -> None:
    async with client(authorization=f"Bearer {KEY}") as http:
        response = await http.post("/chat/completions", content=b"{")
    assert response.status_code == 400
