"""What the fake control plane offers beyond the protocol, which tests/integration/subscriber/test_control_planes.py
compares with the server's."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from modelwire.subscriber import DynamicModelProvider, LinkState, LiteLlm
from modelwire.subscriber.testing import FakeControlPlane, fake_control_plane
from modelwire.subscriber.timing import Timing

FAST = Timing(backoff_first_seconds=0.01, backoff_max_seconds=0.05, slow_seconds=0.01, open_seconds=20)


def params(name: str) -> dict[str, Any]:
    return {"model": f"openai/{name}", "api_key": "k"}


def subscriber(url: str, token: str = "any", timing: Timing = FAST) -> DynamicModelProvider:
    return DynamicModelProvider(url, token=token, component="test", _timing=timing)


async def until(model: LiteLlm, condition: Callable[[], bool]) -> None:
    changed, loop = asyncio.Event(), asyncio.get_running_loop()
    model.on_settings_change(lambda *_: loop.call_soon_threadsafe(changed.set))
    async with asyncio.timeout(120):
        while not condition():
            await changed.wait()
            changed.clear()


async def test_a_model_follows_what_is_put_and_removed() -> None:
    plane = fake_control_plane({"general": {**params("first"), "max_input_tokens": 7}, "planning": None})
    with plane as url:
        async with subscriber(url) as provider:
            model = provider.get_lite_llm_model("general")
            await model.wait_ready(timeout_seconds=120)
            assert (model.version, model.max_input_tokens) == (1, 7)
            assert plane.put("general", params("second")) == 2
            await until(model, lambda: model.version == 2)
            assert model.litellm_params()["model"] == "openai/second"
            plane.remove("general")
            await until(model, lambda: model.settings is None)
            assert plane.put("general", params("third")) == 1
            await until(model, lambda: model.version == 1)


async def test_frozen_it_says_nothing_and_thawed_it_tells_the_latest() -> None:
    plane = fake_control_plane({"general": params("first")})
    with plane as url:
        async with subscriber(url) as provider:
            model = provider.get_lite_llm_model("general")
            await model.wait_ready(timeout_seconds=120)
            versions: list[int | None] = []
            model.on_settings_change(lambda _, new: versions.append(new.version if new else None))
            plane.freeze()
            for number in range(5):
                plane.put("general", params(str(number)))
            assert not versions
            plane.thaw()
            await until(model, lambda: model.version == 6)
            assert versions == [6]


async def test_nobody_comes_in_while_it_is_frozen() -> None:
    plane = fake_control_plane({"general": params("m")})
    with plane as url:
        plane.freeze()
        async with subscriber(url) as provider:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await provider.get_lite_llm_model("general").wait_ready()
            plane.thaw()
            await provider.get_lite_llm_model("general").wait_ready(timeout_seconds=120)


async def test_subscribers_come_back_after_a_cut_and_after_it_was_away() -> None:
    plane = fake_control_plane({"general": params("first")})
    with plane as url:
        provider = await subscriber(url).__aenter__()
        model = provider.get_lite_llm_model("general")
        await model.wait_ready(timeout_seconds=120)
        states: list[LinkState] = []
        provider.on_link_change(lambda _, new: states.append(new.state))
        plane.cut()
        plane.put("general", params("second"))
        await until(model, lambda: model.version == 2)
        assert LinkState.STALE in states
    plane.put("general", params("third"))
    assert model.version == 2
    with plane as again:
        assert again == url
        await until(model, lambda: model.version == 3)
        await provider.close()


async def test_with_a_token_others_are_refused() -> None:
    with fake_control_plane({"general": params("m")}, token="right") as url:
        async with subscriber(url, "wrong") as refused, subscriber(url, "right") as provider:
            heard, loop = asyncio.Event(), asyncio.get_running_loop()
            refused.on_link_change(lambda *_: loop.call_soon_threadsafe(heard.set))
            await provider.get_lite_llm_model("general").wait_ready(timeout_seconds=120)
            async with asyncio.timeout(120):
                await heard.wait()
            assert "4401" in (refused.link.last_error or "")


def test_after_the_block_nothing_listens_and_no_thread_is_left() -> None:
    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "fake-control-plane"]

    plane = fake_control_plane({})
    with plane as url:
        port = int(url.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port)).close()
        assert len(threads()) == 1
    assert not threads()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"api_key": "secret"}, "'model'"),
        ({"model": ""}, "'model'"),
        ({"model": "m", "max_input_tokens": 0}, "'max_input_tokens'"),
        ({"model": "m", "max_input_tokens": True}, "'max_input_tokens'"),
        ({"model": "m", "tools": {1, 2}}, "JSON"),
        ("openai/m", "mapping"),
    ],
)
def test_a_config_that_is_none_is_refused_and_nothing_changes(config: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        fake_control_plane({"general": config})
    assert "secret" not in str(refused.value)
    plane = fake_control_plane({"general": params("m")})
    with pytest.raises(ValueError, match=named):
        plane.put("general", config)
    assert plane.put("general", params("n")) == 2


@pytest.mark.parametrize("alias", ["", "x" * 101])
def test_an_alias_that_is_none_is_refused(alias: str) -> None:
    with pytest.raises(ValueError, match="1 to 100"):
        fake_control_plane({alias: params("m")})


def test_what_needs_a_running_one_says_so() -> None:
    plane = fake_control_plane({})
    for action in (plane.cut, plane.freeze, plane.thaw):
        with pytest.raises(RuntimeError, match="with plane as url"):
            action()
    with pytest.raises(RuntimeError, match="no address"):
        _ = plane.url
    with pytest.raises(LookupError, match="'absent'"):
        plane.remove("absent")
    with plane, pytest.raises(RuntimeError, match="already"):
        plane.__enter__()


def test_its_repr_holds_no_credential() -> None:
    plane: FakeControlPlane = fake_control_plane({"general": {"model": "m", "api_key": "hidden"}}, token="hidden")
    assert "hidden" not in repr(plane)


def test_it_needs_neither_litellm_nor_the_server() -> None:
    code = "import sys, modelwire.subscriber.testing; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "websockets" in loaded
    assert not set(loaded) & {"litellm", "starlette", "uvicorn", "graphql", "strawberry", "sqlalchemy", "pytest"}
