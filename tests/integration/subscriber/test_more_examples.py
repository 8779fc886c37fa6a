"""The other programs that component authors copy. tests/adk runs the one that needs google-adk."""

from __future__ import annotations

import asyncio
import io
import runpy
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from modelwire.subscriber import DynamicModelProvider, LiteLlm
from modelwire.subscriber.testing import FakeControlPlane, fake_control_plane

from .conftest import Endpoint

# LiteLLM, and clients that other calls may still use, leave their connections to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

EXAMPLES = Path(__file__).parents[3] / "examples"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / name))


def params(endpoint: Endpoint, name: str, key: str = "k") -> dict[str, Any]:
    return {"model": f"openai/{name}", "api_key": key, "api_base": endpoint.base, "num_retries": 0}


@pytest.fixture
def control(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeControlPlane]:
    control = fake_control_plane({"general": params(endpoint, "first", "key-1")})
    with control as url:
        monkeypatch.setenv("MODELWIRE_URL", url)
        monkeypatch.setenv("MODELWIRE_TOKEN", "token")
        yield control


class TestOpenAiClient:
    async def test_it_asks_the_configured_model(
        self, control: FakeControlPlane, endpoint: Endpoint, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await load("openai_client.py")["run"]("general", ["Who?", "And now?"])
        assert capsys.readouterr().out.splitlines() == ["version 1: I am first"] * 2
        assert [(asked.key, asked.body["model"]) for asked in endpoint.asked] == [("key-1", "first")] * 2

    async def test_a_client_is_made_anew_for_another_endpoint_or_key(self, endpoint: Endpoint) -> None:
        model = LiteLlm("general")
        client = load("openai_client.py")["Client"](model)
        model.configure_model(params(endpoint, "first", "key-1"))
        assert await client.ask("Who?") == "I am first"
        before: openai.AsyncOpenAI = client.client
        model.configure_model(params(endpoint, "second", "key-1"))
        assert await client.ask("Who?") == "I am second"
        assert client.client is before
        model.configure_model(params(endpoint, "second", "key-2"))
        assert await client.ask("Who?") == "I am second"
        assert client.client is not before
        assert [asked.key for asked in endpoint.asked] == ["key-1", "key-1", "key-2"]
        await before.close()
        await client.client.close()


class TestThreadedService:
    async def test_threads_answer_while_the_model_changes(self, control: FakeControlPlane, endpoint: Endpoint) -> None:
        await asyncio.to_thread(self.serve, control, endpoint)

    def serve(self, control: FakeControlPlane, endpoint: Endpoint) -> None:
        program = load("threaded_service.py")
        with DynamicModelProvider(component="test") as provider:
            model = provider.get_lite_llm_model("general")
            model.wait_ready_sync(timeout_seconds=120)
            server = program["make_server"](
                "127.0.0.1", 0, program["Application"](model), program["Server"], program["QuietHandler"]
            )
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False) as http:
                    self.ask(http, model, control, endpoint)
            finally:
                server.shutdown()
                thread.join()
                server.server_close()

    def ask(self, http: httpx.Client, model: LiteLlm, control: FakeControlPlane, endpoint: Endpoint) -> None:
        assert http.get("/healthz").json() == {"model": "ready", "version": 1}
        assert http.post("/ask", content="Who?", timeout=120).json()["answer"] == "I am first"
        changed = threading.Event()
        model.on_settings_change(lambda *_: changed.set())
        control.put("general", params(endpoint, "second", "key-2"))
        assert changed.wait(120)
        assert http.post("/ask", content="Who?", timeout=120).json()["answer"] == "I am second"
        changed.clear()
        control.remove("general")
        assert changed.wait(120)
        refused = http.post("/ask", content="Who?", timeout=120)
        assert (refused.status_code, "'general'" in refused.json()["error"]) == (503, True)
        assert http.get("/absent").status_code == 404

    def test_what_is_no_question_and_what_fails(self, endpoint: Endpoint) -> None:
        model = LiteLlm("general")
        model.configure_model({**params(endpoint, "m"), "api_base": f"{endpoint.base}/absent"})
        application = load("threaded_service.py")["Application"](model)
        request = {"REQUEST_METHOD": "POST", "PATH_INFO": "/ask", "wsgi.input": io.BytesIO(b"Who?")}
        assert application.answer({**request, "CONTENT_LENGTH": "100001"})[0].startswith("400")
        assert application.answer({**request, "CONTENT_LENGTH": ""})[0].startswith("400")
        assert application.answer({**request, "CONTENT_LENGTH": "4"}) == ("502 Bad Gateway", {"error": "NotFoundError"})


@pytest.mark.parametrize(
    ("name", "arguments", "code", "named"),
    [
        ("openai_client.py", ["general"], 2, "ALIAS QUESTION"),
        ("openai_client.py", ["general", "Who?"], 1, "MODELWIRE_TOKEN"),
        ("threaded_service.py", ["general", "--port", "0"], 2, "MODELWIRE_TOKEN"),
    ],
)
def test_what_is_missing_is_named(
    name: str,
    arguments: list[str],
    code: int,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MODELWIRE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("MODELWIRE_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert ended.value.code == code
    assert named in capsys.readouterr().err
