"""Spans of a change, from the mutation to the component that runs it: a real server, a real subscriber, the SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import live_server
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from modelwire.subscriber import DynamicModelProvider

WAIT_SECONDS = 120.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
UPDATE = """mutation ($input: UpdateModelConfigInput!) { updateModelConfig(input: $input) {
  ... on UpdateModelConfigPayload { modelConfig { revision } } } }"""
GENERAL = '{ modelConfig(by: {alias: "general"}) { id version } }'
NAMES = ["modelwire.commit", "modelwire.feed", "modelwire.deliver", "modelwire.apply", "modelwire.acknowledge"]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process may set it once; this one goes on with other tests.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


async def test_a_change_has_one_trace_from_its_commit_to_its_use(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async with live_server(tmp_path) as server, httpx.AsyncClient(trust_env=False, timeout=60) as http:

        async def ask(document: str, **given: Any) -> Any:
            headers = {"authorization": f"Bearer {server.admin_key}", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
            body = {"query": document, "variables": {"input": given}}
            (value,) = (await http.post(server.url, json=body, headers=headers)).json()["data"].values()
            return value

        general = await ask(GENERAL)
        url = f"http://127.0.0.1:{server.port}"
        async with DynamicModelProvider(url, token=server.admin_key, component="tests") as provider:
            model = provider.get_lite_llm_model("general")
            async with asyncio.timeout(WAIT_SECONDS):
                while provider.link.state.value != "live":  # noqa: ASYNC110 - nothing awaits it
                    await asyncio.sleep(0.01)
            given = {"id": general["id"], "expectedVersion": general["version"], "provider": "openai", "model": "m"}
            revision = (await ask(UPDATE, **given))["modelConfig"]["revision"]
            await model.wait_ready(timeout_seconds=WAIT_SECONDS)
            async with asyncio.timeout(WAIT_SECONDS):
                while {span.name for span in of(spans, revision)} < {*NAMES, "modelwire.transaction"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    found = {span.name: span for span in of(spans, revision)}
    transaction = found.pop("modelwire.transaction")
    assert f"{transaction.context.trace_id:032x}" == TRACE
    assert len({span.context.trace_id for span in found.values()}) == 1
    assert {link.context.span_id for link in found["modelwire.commit"].links} == {transaction.context.span_id}
    assert {link.context.span_id for link in transaction.links} == {found["modelwire.commit"].context.span_id}
    assert sorted(NAMES[:4], key=lambda name: found[name].start_time or 0) == NAMES[:4]
    assert found["modelwire.acknowledge"].attributes["modelwire.outcome"] == "applied"


def of(spans: InMemorySpanExporter, revision: str) -> list[ReadableSpan]:
    return [
        span for span in spans.get_finished_spans() if (span.attributes or {}).get("modelwire.revision") == revision
    ]


def test_nothing_is_loaded_for_it() -> None:
    program = """
import sys
from modelwire.store import tracing as server
from modelwire.subscriber import tracing as component
server.begin("x", ["a-1"])()
with server.writing() as committed, component.span("x", "a-1"):
    committed("a-1")
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
