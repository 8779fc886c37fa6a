"""Calls with tools where the package `mcp` is missing, as it is after `pip install modelwire`."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

from modelwire.subscriber import LiteLlm

from .conftest import Endpoint

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_need_no_package_beyond_the_light_one(endpoint: Endpoint, *, stream: bool) -> None:
    assert importlib.util.find_spec("mcp") is None
    model = LiteLlm("general")
    model.configure_model(endpoint.params("m"))
    call: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "tools": [TOOL], "stream": stream}
    answers = [await model.acompletion(**call), await asyncio.to_thread(lambda: model.completion(**call))]
    assert len(answers) == 2
    if stream:
        assert [chunk async for chunk in answers[0]]
        assert await asyncio.to_thread(lambda: list(answers[1]))
    else:
        assert [answer.choices[0].message.tool_calls[0].function.name for answer in answers] == ["f", "f"]
    assert all("_skip_mcp_handler" not in body for _, body in endpoint.asked)
