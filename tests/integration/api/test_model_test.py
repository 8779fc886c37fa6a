"""Trying a config with a real call: over the providers' own wire formats, with stored and with given credentials."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psutil
import pytest
from stand_ins.chat import KEY, ChatStandIn, running_chat_stand_in

from modelwire.resolvers import litellm_process
from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.resolvers.model_test_text import MASK
from modelwire.resolvers.outbound import Outbound, OutboundPolicy
from modelwire.store import ModelConfig, Secrets, Store, UnknownKey

TEST = """
mutation ($input: TestModelConfigInput!) {
  testModelConfig(input: $input) {
    __typename
    ... on TestModelConfigPayload {
      success latencySeconds answer toolCalled promptTokens completionTokens error { class message }
    }
    ... on UserError { message path }
  }
}
"""
AUDIT = "{ auditLog(first: 20) { edges { node { action actor details } } } }"
KEYED = {"apiKey": {"apiKey": KEY}}
MODELS = {
    "openai": "gpt-5-mini",
    "hosted_vllm": "llama-3",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "ollama": "llama3",
    "ollama_chat": "llama3",
}

# One provider for each wire format, and for each of LiteLLM's own clients.
FORMATS = ("openai", "anthropic", "gemini", "ollama_chat")


@pytest.fixture
async def stand_in() -> AsyncIterator[ChatStandIn]:
    async with running_chat_stand_in() as running:
        yield running


def calling(client: Any, *, addresses: Sequence[str] | None = None, **policy: Any) -> Any:
    """A client of a server with this policy, by default one that may call loopback; all names lead to `addresses`."""
    made = OutboundPolicy(**{"private_addresses": True, "litellm_timeout_seconds": 60, **policy})
    if addresses is None:
        return client.having(outbound=Outbound(policy=made))

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return client.having(outbound=Outbound(policy=made, resolve=resolve))


@pytest.fixture
def tester(client: Any) -> Any:
    return calling(client)


def given(provider: str, api_base: str | None, **more: Any) -> dict[str, Any]:
    return {"provider": provider, "model": MODELS[provider], "apiBase": api_base, "auth": KEYED, **more}


async def run(client: Any, **values: Any) -> dict[str, Any]:
    result: dict[str, Any] = await client.mutate(TEST, **values)
    assert result["__typename"] == "TestModelConfigPayload", result
    return result


async def problem(client: Any, **values: Any) -> str:
    result = await run(client, **values)
    assert (result["success"], result["answer"], result["toolCalled"]) == (False, None, False)
    return str(result["error"]["class"])


async def audited(client: Any) -> list[dict[str, Any]]:
    edges = (await client.run(AUDIT))["auditLog"]["edges"]
    return [edge["node"]["details"] for edge in edges if edge["node"]["action"] == "model_config.test"]


@pytest.mark.parametrize("provider", MODELS)
async def test_a_model_that_answers_and_calls_its_tool(tester: Any, stand_in: ChatStandIn, provider: str) -> None:
    result = await run(tester, **given(provider, f"{stand_in.url}/ok"))
    assert result["success"] is True
    assert result["error"] is None
    assert result["toolCalled"] is True
    assert (result["promptTokens"], result["completionTokens"]) == (71, 9)
    assert result["answer"] == ("I look it up." if provider == "anthropic" else "")
    assert result["latencySeconds"] > 0
    assert await audited(tester) == [{"outcome": "success", "provider": provider, "host": "127.0.0.1"}]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "BAD_REQUEST"),
        (401, "AUTHENTICATION"),
        (403, "AUTHENTICATION"),
        (404, "NOT_FOUND"),
        (429, "RATE_LIMIT"),
        (500, "PROVIDER"),
    ],
)
@pytest.mark.parametrize("provider", FORMATS)
async def test_each_class_of_error_and_no_secret_in_it(
    tester: Any, stand_in: ChatStandIn, caplog: pytest.LogCaptureFixture, provider: str, status: int, expected: str
) -> None:
    """The stand-in repeats the key in its error, as it is and as JSON, and in a header."""
    caplog.set_level(logging.DEBUG)
    values = given(provider, f"{stand_in.url}/{status}", params={"extra_headers": {"x-token": "canary-of-header-1"}})
    result = await run(tester, **values)
    assert result["error"]["class"] == expected
    assert MASK in result["error"]["message"]
    chats = [path for path, _, _ in stand_in.requests if not path.endswith("/api/show")]
    assert len(chats) == 1, "it is tried once"
    rows = json.dumps((await tester.run(AUDIT))["auditLog"])
    assert expected.lower() in rows
    for told in (json.dumps(result, ensure_ascii=False), caplog.text, rows):
        assert "canary" not in told
        assert "9c51/e2d8" not in told


async def test_an_answer_with_a_secret_in_it_shows_none(tester: Any, stand_in: ChatStandIn) -> None:
    values = given("anthropic", f"{stand_in.url}/ok", auth={"apiKey": {"apiKey": "I look it up."}})
    assert (await run(tester, **values))["answer"] == MASK


async def test_an_answer_without_choices_is_the_provider_s_failure(tester: Any, stand_in: ChatStandIn) -> None:
    assert await problem(tester, **given("openai", f"{stand_in.url}/empty")) == "PROVIDER"


async def test_tokens_that_cannot_be_are_not_counted(tester: Any, stand_in: ChatStandIn) -> None:
    result = await run(tester, **given("openai", f"{stand_in.url}/miscounted"))
    assert (result["success"], result["promptTokens"], result["completionTokens"]) == (True, None, None)


class TestWhereItCalls:
    @pytest.mark.parametrize("provider", FORMATS)
    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_not_to_private_addresses_by_default(
        self, client: Any, stand_in: ChatStandIn, scheme: str, provider: str
    ) -> None:
        values = given(provider, f"{scheme}://127.0.0.1:{stand_in.port}/ok")
        assert await problem(calling(client, private_addresses=False), **values) == "BLOCKED"
        assert stand_in.requests == []

    @pytest.mark.parametrize("provider", FORMATS)
    async def test_not_to_a_name_that_leads_there(self, client: Any, stand_in: ChatStandIn, provider: str) -> None:
        values = given(provider, f"http://innocent.example:{stand_in.port}/ok")
        blocked = calling(client, addresses=["127.0.0.1"], private_addresses=False)
        assert await problem(blocked, **values) == "BLOCKED"
        assert stand_in.requests == []

    async def test_never_to_where_clouds_keep_the_credentials_of_a_machine(self, tester: Any) -> None:
        result = await run(tester, **given("openai", "http://169.254.169.254/v1"))
        assert result["error"]["class"] == "BLOCKED"
        assert "never called" in result["error"]["message"]

    async def test_to_hosts_that_are_allowed(self, client: Any, stand_in: ChatStandIn) -> None:
        allowed = {"private_addresses": False, "allowed_hosts": frozenset({"models.example"})}
        there = calling(client, addresses=["127.0.0.1"], **allowed)
        assert (await run(there, **given("openai", f"http://models.example:{stand_in.port}/ok")))["success"]
        assert stand_in.requests[0][1]["host"] == f"models.example:{stand_in.port}"
        assert await problem(there, **given("openai", f"http://others.example:{stand_in.port}/ok")) == "BLOCKED"

    @pytest.mark.parametrize("provider", FORMATS)
    async def test_a_redirect_leads_nowhere_else(self, tester: Any, stand_in: ChatStandIn, provider: str) -> None:
        async with running_chat_stand_in() as other:
            stand_in.redirect_to = f"{other.url}/ok/chat/completions"
            result = await run(tester, **given(provider, f"{stand_in.url}/redirect"))
            assert result["error"]["class"] == "BLOCKED"
            assert other.requests == []

    async def test_where_the_hosts_are_not_known_a_redirect_meets_the_policy(
        self, tester: Any, stand_in: ChatStandIn
    ) -> None:
        stand_in.redirect_to = "http://169.254.169.254/latest/meta-data/"
        values = given("openai", f"{stand_in.url}/redirect")
        result = await run(tester, **{**values, "provider": "deepseek", "model": "deepseek-chat"})
        assert result["error"]["class"] == "BLOCKED"
        assert "never called" in result["error"]["message"]

    async def test_nobody_there(self, tester: Any) -> None:
        assert await problem(tester, **given("openai", "http://127.0.0.1:1/v1")) == "CONNECTION"

    async def test_no_tls_where_it_is_expected(self, tester: Any, stand_in: ChatStandIn) -> None:
        assert await problem(tester, **given("anthropic", stand_in.url.replace("http", "https"))) == "CONNECTION"


class TestWhatItCosts:
    async def test_an_answer_that_does_not_come_is_not_waited_for(self, client: Any, stand_in: ChatStandIn) -> None:
        result = await run(calling(client, litellm_timeout_seconds=1), **given("openai", f"{stand_in.url}/never"))
        assert result["error"] == {"class": "TIMEOUT", "message": "there was no whole answer within 1 seconds"}

    async def test_a_huge_answer_is_left(self, client: Any, stand_in: ChatStandIn) -> None:
        small = calling(client, max_bytes=100_000)
        assert await problem(small, **given("openai", f"{stand_in.url}/huge")) == "BAD_ANSWER"

    @pytest.mark.parametrize("provider", ["openai", "anthropic"])
    async def test_an_answer_that_is_huge_when_unpacked_takes_no_memory(
        self, tester: Any, stand_in: ChatStandIn, provider: str
    ) -> None:
        assert await problem(tester, **given(provider, f"{stand_in.url}/bomb")) == "PROVIDER"

    async def test_something_else_than_an_answer(self, tester: Any, stand_in: ChatStandIn) -> None:
        assert await problem(tester, **given("openai", f"{stand_in.url}/text")) == "PROVIDER"

    async def test_more_than_so_many_at_a_time_are_refused(self, client: Any, stand_in: ChatStandIn) -> None:
        busy = calling(client, max_concurrent_litellm=1)
        first = asyncio.create_task(run(busy, **given("openai", f"{stand_in.url}/never")))
        async with asyncio.timeout(120):
            await stand_in.began.wait()
            with busy.refused("LIMIT_EXCEEDED", match="1 calls to providers"):
                await busy.run(TEST, input=given("openai", f"{stand_in.url}/ok"))
            first.cancel()
            await asyncio.wait([first])
            assert (await run(busy, **given("openai", f"{stand_in.url}/ok")))["success"]

    async def test_the_call_ends_when_its_caller_goes_away(self, client: Any, stand_in: ChatStandIn) -> None:
        """What a websocket's `complete` and the end of its connection do: they cancel the operation."""
        tester = calling(client)
        testing = asyncio.create_task(run(tester, **given("openai", f"{stand_in.url}/never")))
        async with asyncio.timeout(120):
            await stand_in.began.wait()
            parent = litellm_process._process._process
            assert parent is not None
            processes = psutil.Process(parent.pid).children()
            assert processes
            testing.cancel()
            await asyncio.wait([testing])
            await stand_in.gone.wait()
            _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 120)
        assert alive == []
        assert testing.cancelled()
        assert [row["outcome"] for row in await audited(client)] == ["cancelled"]


class TestStoredConfigs:
    async def test_as_it_is(self, tester: Any, stand_in: ChatStandIn) -> None:
        config = await tester.create("mine", **given("openai", f"{stand_in.url}/ok"))
        before = await tester.everything()
        assert (await run(tester, id=config["id"]))["success"]
        assert stand_in.requests[0][1]["authorization"] == f"Bearer {KEY}"
        assert await tester.everything() == before
        told = {"id": config["id"], "alias": "mine", "version": 1}
        assert await audited(tester) == [{"outcome": "success", "provider": "openai", "host": "127.0.0.1", **told}]

    async def test_an_answer_that_nobody_gave_is_no_test(self, tester: Any, stand_in: ChatStandIn) -> None:
        config = await tester.create("mine", **given("openai", f"{stand_in.url}/ok"))
        result = await tester.mutate(TEST, id=config["id"], params={"mock_response": f"my guess is {KEY[:10]}"})
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "params", "mock_response"])
        assert stand_in.requests == []

    async def test_with_other_values_that_lead_to_the_same_place(self, tester: Any, stand_in: ChatStandIn) -> None:
        headers = {"extra_headers": {"x-token": "sealed"}}
        config = await tester.create("mine", **given("openai", f"{stand_in.url}/401", params=headers))
        changed = {"model": "gpt-4o", "apiBase": f"{stand_in.url}/ok", "params": {"temperature": 0.5}}
        assert (await run(tester, id=config["id"], **changed))["success"]
        ((_, sent, body),) = stand_in.requests
        assert (sent["authorization"], sent["x-token"]) == (f"Bearer {KEY}", "sealed")
        assert (body["model"], body["temperature"]) == ("gpt-4o", 0.5)

    @pytest.mark.parametrize(
        "changed",
        [
            {"apiBase": "http://localhost:{port}/ok"},
            {"apiBase": "https://127.0.0.1:{port}/ok"},
            {"apiBase": "http://127.0.0.1:1/ok"},
            {"apiBase": None},
            {"apiBase": "os.environ/API_BASE"},
            {"provider": "anthropic", "model": "m"},
            {"params": {"base_model": "m", "fallbacks": ["openai/other"]}},
            {"auth": {"apiKey": {}}, "apiBase": "http://localhost:{port}/ok"},
        ],
    )
    async def test_stored_credentials_go_nowhere_else(
        self, tester: Any, stand_in: ChatStandIn, changed: dict[str, Any]
    ) -> None:
        config = await tester.create("mine", **given("openai", f"{stand_in.url}/ok"))
        changed = {
            name: value.format(port=stand_in.port) if isinstance(value, str) else value
            for name, value in changed.items()
        }
        result = await tester.mutate(TEST, id=config["id"], **changed)
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "auth"])
        assert "they must be in the request" in result["message"]
        assert stand_in.requests == []
        assert await audited(tester) == []

    async def test_stored_sealed_params_go_nowhere_else(self, tester: Any, stand_in: ChatStandIn) -> None:
        headers = {"extra_headers": {"x-token": "sealed"}}
        config = await tester.create("mine", **given("openai", "https://h.example/v1", params=headers))
        elsewhere = {"apiBase": f"{stand_in.url}/ok", "auth": KEYED}
        result = await tester.mutate(TEST, id=config["id"], **elsewhere)
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "params"])
        assert "extra_headers" in result["message"]
        assert stand_in.requests == []
        for params in ({"extra_headers": {"x-token": "own"}}, {"extra_headers": None}, None):
            assert (await run(tester, id=config["id"], **elsewhere, params=params))["success"]
        assert [sent.get("x-token") for _, sent, _ in stand_in.requests] == ["own", None, None]

    async def test_elsewhere_with_credentials_of_the_request(self, tester: Any, stand_in: ChatStandIn) -> None:
        stored = {"apiKey": {"apiKey": "stored-key-0123456789"}}
        config = await tester.create("mine", **given("openai", "https://h.example/v1", auth=stored))
        assert (await run(tester, id=config["id"], apiBase=f"{stand_in.url}/ok", auth=KEYED))["success"]
        assert stand_in.requests[0][1]["authorization"] == f"Bearer {KEY}"

    async def test_without_credentials_when_the_request_says_so(self, tester: Any, stand_in: ChatStandIn) -> None:
        config = await tester.create("mine", **given("ollama_chat", "https://h.example"))
        assert (await run(tester, id=config["id"], apiBase=f"{stand_in.url}/ok", auth={"none": True}))["success"]
        assert all("authorization" not in sent for _, sent, _ in stand_in.requests)

    async def test_that_cannot_be_opened_any_more(
        self, tester: Any, stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def lost(_store: Store, _config: ModelConfig) -> Secrets:
            raise UnknownKey("old")

        config = await tester.create("mine", **given("openai", f"{stand_in.url}/ok"))
        monkeypatch.setattr(Store, "open_secrets", lost)
        result = await tester.mutate(TEST, id=config["id"])
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "auth"])
        assert "'old'" in result["message"]
        assert (await run(tester, id=config["id"], auth=KEYED))["success"]


class TestReferences:
    @pytest.mark.parametrize(
        ("values", "where"),
        [
            ({"auth": {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}}, "api_key"),
            ({"apiBase": "os.environ/OPENAI_API_BASE"}, "api_base"),
            ({"params": {"extra_headers": {"x-token": "os.environ/OPENAI_API_KEY"}}}, "extra_headers.x-token"),
            ({"params": {"extra_body": {"list": [{"a": "os.environ/lower case"}]}}}, "extra_body.list[0].a"),
            ({"auth": {"apiKey": {"apiKey": "oidc/env/OPENAI_API_KEY"}}}, "api_key"),
        ],
    )
    async def test_are_not_resolved_here(
        self,
        tester: Any,
        stand_in: ChatStandIn,
        monkeypatch: pytest.MonkeyPatch,
        values: dict[str, Any],
        where: str,
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "canary-of-the-server")
        monkeypatch.setenv("OPENAI_API_BASE", f"{stand_in.url}/ok")
        result = await run(tester, **{**given("openai", f"{stand_in.url}/ok"), **values})
        assert result["error"]["class"] == "MISSING_SECRET"
        assert result["error"]["message"].startswith(f"{where} is a reference")
        assert result["latencySeconds"] is None
        assert stand_in.requests == []

    async def test_a_key_in_the_request_stands_for_a_stored_one(self, tester: Any, stand_in: ChatStandIn) -> None:
        reference = {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}
        config = await tester.create("mine", **given("openai", f"{stand_in.url}/ok", auth=reference))
        assert await problem(tester, id=config["id"]) == "MISSING_SECRET"
        assert (await run(tester, id=config["id"], auth=KEYED))["success"]


async def test_the_server_s_environment_is_not_used(
    tester: Any, stand_in: ChatStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "canary-of-the-server")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "canary-of-the-server")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "*")
    litellm_process._process.close()
    assert (await run(tester, **given("openai", f"{stand_in.url}/ok")))["success"]
    await run(tester, **given("openai", f"{stand_in.url}/401", auth={"none": True}))
    assert "canary-of" not in json.dumps(stand_in.requests)


class TestWhatCannotBeTried:
    async def test_unknown_ids(self, tester: Any) -> None:
        for unknown in ("4711", "no id", "\0"):
            result = await tester.mutate(TEST, id=unknown)
            assert (result["__typename"], result["path"]) == ("NotFound", ["input", "id"])

    async def test_placeholders_and_halves(self, tester: Any) -> None:
        general = await tester.find(alias="general")
        result = await tester.mutate(TEST, id=general["id"])
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "provider"])
        result = await tester.mutate(TEST, provider="openai")
        assert (result["__typename"], result["path"]) == ("InvalidInput", ["input", "model"])

    @pytest.mark.parametrize(
        ("values", "path"),
        [
            ({"provider": "opnai"}, ["input", "provider"]),
            ({"apiBase": "ftp://h.example"}, ["input", "apiBase"]),
            ({"params": {"messages": []}}, ["input", "params", "messages"]),
            ({"maxInputTokens": 0}, ["input", "maxInputTokens"]),
        ],
    )
    async def test_values_that_could_not_be_stored(self, tester: Any, values: dict[str, Any], path: list[str]) -> None:
        result = await tester.mutate(TEST, **{**given("openai", None), **values})
        assert (result["__typename"], result["path"]) == ("InvalidInput", path)

    @pytest.mark.parametrize("kind", ["external_account", "impersonated_service_account", None])
    async def test_credentials_that_name_files_and_commands(self, tester: Any, kind: str | None) -> None:
        source = {"type": kind, "credential_source": {"file": "/etc/passwd"}, "token_url": "http://127.0.0.1:1"}
        auth = {"gcpServiceAccount": {"credentialsJson": json.dumps(source)}}
        assert await problem(tester, provider="vertex_ai", model="gemini-2.5-flash", auth=auth) == "UNSUPPORTED"


class TestWhoMay:
    async def test_the_scope(self, client_with: Any, stand_in: ChatStandIn) -> None:
        other = calling(client_with(*(ALL_SCOPES - {Scope.MODEL_CONFIG_TEST})))
        with other.refused("FORBIDDEN", match="model_config:test"):
            await other.run(TEST, input=given("openai", f"{stand_in.url}/ok"))
        assert stand_in.requests == []
        tester = calling(client_with(Scope.MODEL_CONFIG_TEST))
        assert (await run(tester, **given("openai", f"{stand_in.url}/ok")))["success"]

    async def test_the_aliases_of_the_key(self, client: Any, client_with: Any, stand_in: ChatStandIn) -> None:
        config = await client.create("mine", **given("openai", f"{stand_in.url}/ok"))
        stranger = calling(client_with(aliases=("others-*",)))
        assert (await stranger.mutate(TEST, id=config["id"]))["__typename"] == "NotFound"
        assert stand_in.requests == []
        assert (await run(calling(client_with(aliases=("mine",))), id=config["id"]))["success"]
