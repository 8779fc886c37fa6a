"""Queries over HTTP whose answers are kept: what was committed before a question is in its answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
from live_server import LiveServer, live_server

from modelwire.resolvers.access import Scope
from modelwire.server.database import database_url, read_keyring
from modelwire.server.settings import Settings
from modelwire.store import ModelConfigDraft, open_store

QUERY = "{ modelConfigs { edges { node { alias model version } } } }"
CREATE_KEY = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  ... on CreateApiKeyPayload { secret } } }"""


async def ask(http: httpx.AsyncClient, server: LiveServer, key: str, query: str = QUERY, **variables: Any) -> Any:
    answer = await http.post(
        server.url, json={"query": query, "variables": variables}, headers={"authorization": f"Bearer {key}"}
    )
    return answer.json()


def models(answer: Any) -> dict[str, str]:
    return {edge["node"]["alias"]: edge["node"]["model"] for edge in answer["data"]["modelConfigs"]["edges"]}


async def test_what_another_process_committed_is_in_the_next_answer(tmp_path: Path) -> None:
    async with live_server(tmp_path, feed_poll_seconds=10) as server, httpx.AsyncClient(trust_env=False) as http:
        settings = Settings(data_dir=tmp_path)
        store = await open_store(database_url(settings), read_keyring(settings))
        executed = 0
        page = type(store).page

        async def counted(*given: Any, **named: Any) -> Any:
            nonlocal executed
            executed += 1
            return await page(*given, **named)

        server.services.store.page = counted.__get__(server.services.store)  # type: ignore[method-assign]
        try:
            for number in range(5):
                async with store.transaction(by="another") as transaction:
                    config = await transaction.find(alias="general")
                    assert config is not None
                    await transaction.update(
                        config, ModelConfigDraft(alias="general", provider="openai", model=f"m-{number}")
                    )
                answers = await asyncio.gather(*(ask(http, server, server.admin_key) for _ in range(4)))
                answers.append(await ask(http, server, server.admin_key))
                assert [models(answer)["general"] for answer in answers] == [f"m-{number}"] * 5
            assert 5 <= executed <= 20
            answers_kept = server.services.endpoint._environment.executor._answers
            assert answers_kept is not None
            # No syntax tree is kept with them.
            assert {type(key.document) for key in answers_kept._answers} == {str}
        finally:
            await store.close()


async def test_who_may_see_less_is_not_told_what_others_are(tmp_path: Path) -> None:
    async with live_server(tmp_path) as server, httpx.AsyncClient(trust_env=False) as http:

        async def key(**given: Any) -> str:
            made = await ask(http, server, server.admin_key, CREATE_KEY, input={"name": "k", **given})
            return str(made["data"]["createApiKey"]["secret"])

        bound = await key(scopes=[Scope.MODEL_CONFIG_READ], aliases=["general"])
        blind = await key(scopes=[Scope.MODEL_CONFIG_WRITE])
        for _ in range(2):
            assert set(models(await ask(http, server, server.admin_key))) == {"general", "planning"}
            assert set(models(await ask(http, server, bound))) == {"general"}
            (error,) = (await ask(http, server, blind))["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN"
