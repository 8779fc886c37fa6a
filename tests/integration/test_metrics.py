"""/metrics of real servers: what a change, a component and a wrong credential leave there, and who may read it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from live_server import LiveServer, live_server
from prometheus_client import generate_latest
from scraping import Values, scrape

from modelwire.server.metrics import Metrics
from modelwire.store import ModelConfigDraft
from modelwire.subscriber import DynamicModelProvider

PAGE = Path(__file__).parents[2] / "docs" / "operations-monitoring.md"
TOKEN = "a-token-for-prometheus"
WAIT_SECONDS = 120.0


async def until(url: str, wanted: Callable[[Values], bool]) -> Values:
    async with asyncio.timeout(WAIT_SECONDS):
        while not wanted(values := await scrape(url)):  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.02)
    return values


def address(server: LiveServer) -> str:
    return f"http://127.0.0.1:{server.port}"


async def test_a_change_is_seen_from_its_commit_to_its_use(tmp_path: Path) -> None:
    async with live_server(tmp_path) as server:
        store, url = server.services.store, address(server)

        async def write(model: str) -> None:
            async with store.transaction(by="tests") as transaction:
                general = await store.find(alias="general")
                assert general is not None
                await transaction.update(general, ModelConfigDraft(alias="general", provider="openai", model=model))

        await write("before")
        async with DynamicModelProvider(url, token=server.admin_key, component="tests") as provider:
            await provider.get_lite_llm_model("general").wait_ready(timeout_seconds=WAIT_SECONDS)
            # What was there before the component came took no time.
            values = await until(url, lambda values: values["modelwire_acknowledgements_total applied"] == 1)
            assert values["modelwire_commit_to_applied_seconds_count"] == 0
            assert [values[f"modelwire_{name}"] for name in ("components", "connections", "subscribers")] == [1, 1, 1]
            await write("after")
            values = await until(url, lambda values: values["modelwire_acknowledgements_total applied"] == 2)
            assert values["modelwire_commit_to_applied_seconds_count"] == 1
            # Served together with the first, and counted all the same.
            async with DynamicModelProvider(url, token=server.admin_key, component="other") as other:
                await other.get_lite_llm_model("general").wait_ready(timeout_seconds=WAIT_SECONDS)
                await until(url, lambda values: values["modelwire_subscribers"] == values["modelwire_components"] == 2)
            values = await until(url, lambda values: values["modelwire_components"] == 1)
            assert values["modelwire_commit_to_applied_seconds_bucket 300.0"] == 1
            assert values["modelwire_commits_total"] == 2
            assert values["modelwire_commit_to_delivered_seconds_count"] == 1
            assert values["modelwire_deliveries_total"] >= 2
            assert values["modelwire_revision"] == await store.revision()
            assert values["modelwire_database_connections_max"] == 8
            assert values["modelwire_feed_failing"] == 0
            assert values["process_resident_memory_bytes"] > 0
        values = await until(url, lambda values: values["modelwire_connections"] == 0)
        assert (values["modelwire_components"], values["modelwire_subscribers"]) == (0, 0)


async def test_what_is_refused_is_counted(tmp_path: Path) -> None:
    async with live_server(tmp_path) as server, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for token in ("mw_0123456789_" + "0" * 64, "nonsense"):
            await http.post(
                server.url, json={"query": "{ viewer { name } }"}, headers={"authorization": f"Bearer {token}"}
            )
        headers = {"authorization": f"Bearer {server.admin_key}"}
        sign_in = 'mutation { signIn(input: {apiKey: "wrong"}) { __typename } }'
        await http.post(server.url, json={"query": sign_in})
        await http.post(server.url, json={"query": "{ modelConfigs(first: 0) { edges { cursor } } }"}, headers=headers)
        values = await scrape(address(server))
        assert values["modelwire_authentication_failures_total"] == 3
        assert values["modelwire_request_errors_total BAD_USER_INPUT"] == 1


@pytest.mark.parametrize(
    ("settings", "header", "status"),
    [
        ({}, None, 200),
        ({"host": "0.0.0.0"}, None, 403),
        ({"metrics_token": TOKEN}, None, 401),
        ({"metrics_token": TOKEN}, f"Bearer {TOKEN}x", 401),
        ({"metrics_token": TOKEN}, f"Bearer {TOKEN}", 200),
        ({"host": "0.0.0.0", "metrics_token": TOKEN}, f"Bearer {TOKEN}", 200),
    ],
)
async def test_who_may_read_them(tmp_path: Path, settings: dict[str, Any], header: str | None, status: int) -> None:
    async with live_server(tmp_path, **settings) as server, httpx.AsyncClient(trust_env=False) as http:
        headers = {} if header is None else {"authorization": header}
        response = await http.get(f"{address(server)}/metrics", headers=headers)
    assert response.status_code == status
    assert (b"modelwire_info" in response.content) == (status == 200)


async def test_each_of_several_workers_answers_for_all(server_process: Any, make_client: Any) -> None:
    server_process.start("--workers", "2")
    wrong: Callable[[], Awaitable[Any]] = lambda: make_client(server_process, "wrong").post("{ viewer { name } }")  # noqa: E731
    for _ in range(10):
        await wrong()
    # Each scrape is a connection of its own, which either may take.
    scrapes = [await scrape(server_process.url) for _ in range(10)]
    assert {values["modelwire_authentication_failures_total"] for values in scrapes} == {10}
    values = await until(server_process.url, lambda values: values["modelwire_database_connections_max"] == 16)
    assert values["modelwire_info 0.1.0"] == 1


def test_the_alerts_are_of_metrics_that_there_are() -> None:
    rules = PAGE.read_text().partition("## What to be warned of")[2].partition("```yaml\n")[2].partition("```")[0]
    (group,) = yaml.safe_load(rules)["groups"]
    named = {name for rule in group["rules"] for name in re.findall(r"\bmodelwire_\w+", rule["expr"])}
    samples = generate_latest(Metrics().registry).decode()
    assert len(named) > 5
    assert named <= set(re.findall(r"^modelwire_\w+", samples, re.MULTILINE))


def test_the_page_has_the_table_of_the_code() -> None:
    rows = []
    for family in Metrics().registry.collect():
        if family.name.startswith("modelwire_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
            shown = f"`{name}`" + (f" ({', '.join(labels)})" if labels else "")
            rows.append(f"| {shown} | {family.type} | {family.documentation} |")
    table = PAGE.read_text().partition("| metric | type |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `modelwire_.*\|$", table, re.MULTILINE) == rows, "\n".join(rows)
