"""The models of a provider: over the providers' own wire formats, with stored and with given credentials."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from stand_ins.model_lists import AWS_KEY_ID, KEY, StandIn, running_stand_in

from modelwire.resolvers import provider_models
from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.resolvers.outbound import Outbound, OutboundPolicy

MODELS = """
query ($provider: String!, $using: ProviderConnectionInput) {
  provider(name: $provider) {
    models(using: $using) { source problem message models { name litellmModel maxInputTokens } }
  }
}
"""
KEYED = {"apiKey": {"apiKey": KEY}}


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with running_stand_in() as running:
        yield running


@pytest.fixture
def tester(client: Any) -> Any:
    """A client of a server that may call loopback."""
    return client.having(outbound=Outbound(policy=OutboundPolicy(private_addresses=True, timeout_seconds=5)))


async def models(client: Any, provider: str, **using: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await client.run(MODELS, provider=provider, using=using))["provider"]["models"]
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [model["name"] for model in found["models"]]


@pytest.mark.parametrize(
    ("provider", "path", "expected"),
    [
        ("openai", "/v1", ["gpt-a", "gpt-b"]),
        ("hosted_vllm", "/v1/", ["gpt-a", "gpt-b"]),
        ("anthropic", "/anthropic", ["claude-a", "claude-b"]),
        ("anthropic", "/anthropic/v1", ["claude-a", "claude-b"]),
        ("anthropic", "/anthropic/v1/messages", ["claude-a", "claude-b"]),
        ("gemini", "/v1beta", ["gemini-a", "gemini-b"]),
        ("ollama", "", ["llama3:latest"]),
        ("azure", "", ["gpt-a", "gpt-b"]),
        ("azure", "/openai/v1/", ["gpt-a", "gpt-b"]),
    ],
)
async def test_each_provider_in_its_own_format(
    tester: Any, stand_in: StandIn, provider: str, path: str, expected: list[str]
) -> None:
    found = await models(tester, provider, apiBase=stand_in.url + path, auth=KEYED)
    assert (found["source"], found["problem"], found["message"]) == ("PROVIDER", None, None)
    assert names(found) == expected
    assert found["models"][0]["litellmModel"] == f"{provider}/{expected[0]}"
    assert found["models"][0]["maxInputTokens"] == (1000 if provider == "gemini" else None)


async def test_ollama_needs_no_key(tester: Any, stand_in: StandIn) -> None:
    assert names(await models(tester, "ollama", apiBase=stand_in.url)) == ["llama3:latest"]
    assert "authorization" not in stand_in.requests[0][1]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/status/400", "BAD_REQUEST"),
        ("/status/401", "AUTHENTICATION"),
        ("/status/404", "NOT_FOUND"),
        ("/status/429", "RATE_LIMIT"),
        ("/status/503", "PROVIDER"),
        ("/redirect", "BLOCKED"),
        ("/text", "BAD_ANSWER"),
        ("/other", "BAD_ANSWER"),
    ],
)
async def test_when_the_provider_fails_the_registry_answers_and_says_why(
    tester: Any, stand_in: StandIn, caplog: pytest.LogCaptureFixture, path: str, problem: str
) -> None:
    caplog.set_level(logging.DEBUG)
    found = await models(tester, "openai", apiBase=stand_in.url + path, auth=KEYED)
    assert (found["source"], found["problem"]) == ("REGISTRY", problem)
    assert "gpt-4o" in names(found)
    assert KEY not in str(found)
    assert KEY not in caplog.text


async def test_a_list_that_does_not_come_is_not_waited_for(
    tester: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_models, "_LIST_TIMEOUT_SECONDS", 0.2)
    found = await models(tester, "openai", apiBase=f"{stand_in.url}/never", auth=KEYED)
    assert (found["source"], found["problem"]) == ("REGISTRY", "TIMEOUT")


async def test_a_server_that_may_not_call_private_addresses_says_so(client: Any, stand_in: StandIn) -> None:
    found = await models(client, "openai", apiBase=f"{stand_in.url}/v1", auth=KEYED)
    assert (found["source"], found["problem"]) == ("REGISTRY", "BLOCKED")
    assert "MODELWIRE_OUTBOUND_PRIVATE_ADDRESSES" in found["message"]
    assert stand_in.requests == []


async def test_providers_that_are_not_asked_are_in_the_registry(client: Any) -> None:
    found = await models(client, "vertex_ai")
    assert (found["source"], found["problem"]) == ("REGISTRY", "NOT_LISTED")
    assert "gemini-2.5-flash" in names(found)


async def test_nobody_is_asked_without_a_key_that_is_needed(client: Any) -> None:
    found = await models(client, "openai")
    assert (found["source"], found["problem"]) == ("REGISTRY", "MISSING_SECRET")


class TestBedrock:
    """boto3 asks, in a process of its own."""

    AUTH: ClassVar = {
        "accessKeyId": AWS_KEY_ID,
        "secretAccessKey": "canary-of-the-secret",
        "regionName": "eu-central-1",
    }
    MODELS: ClassVar = ["anthropic.claude-a", "eu.anthropic.claude-b", "us.anthropic.claude-b"]

    async def test_with_aws_credentials(self, tester: Any, stand_in: StandIn) -> None:
        found = await models(tester, "bedrock", apiBase=f"{stand_in.url}/bedrock", auth={"awsIam": self.AUTH})
        assert (found["source"], found["problem"], found["message"]) == ("PROVIDER", None, None)
        assert names(found) == self.MODELS
        assert {path for path, _ in stand_in.requests} == {"/bedrock/foundation-models", "/bedrock/inference-profiles"}
        assert all("/eu-central-1/bedrock/" in headers["authorization"] for _, headers in stand_in.requests)

    async def test_with_an_api_key(self, tester: Any, stand_in: StandIn) -> None:
        """boto3 sends it over TLS alone, so a stand-in is not told it; the list is at the other half of the API."""
        asked = []

        async def resolve(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.1"]

        there = tester.having(outbound=Outbound(policy=tester.context.outbound.policy, resolve=resolve))
        host = f"bedrock-runtime.us-west-2.amazonaws.example:{stand_in.port}"
        found = await models(there, "bedrock", apiBase=f"https://{host}", auth=KEYED)
        assert (found["source"], found["problem"]) == ("REGISTRY", "CONNECTION")
        assert asked == ["bedrock.us-west-2.amazonaws.example"]
        found = await models(there, "bedrock", apiBase=f"http://{host}", auth=KEYED)
        assert (found["source"], found["problem"]) == ("REGISTRY", "BAD_REQUEST")

    async def test_with_stored_credentials(self, tester: Any, stand_in: StandIn) -> None:
        config = await tester.create(
            "mine", provider="bedrock", apiBase=f"{stand_in.url}/bedrock", auth={"awsIam": self.AUTH}
        )
        assert names(await models(tester, "bedrock", modelConfig=config["id"])) == self.MODELS
        elsewhere = await models(tester, "bedrock", modelConfig=config["id"], apiBase="http://localhost:1")
        assert (elsewhere["source"], elsewhere["problem"]) == ("REGISTRY", "MISSING_SECRET")

    async def test_that_are_refused(self, tester: Any, stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        auth = {"awsIam": {**self.AUTH, "accessKeyId": "AKIAOTHER"}}
        found = await models(tester, "bedrock", apiBase=f"{stand_in.url}/bedrock", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "AUTHENTICATION")
        assert found["message"] == "the credentials were refused"
        assert names(found)
        for secret in ("canary", "AKIAOTHER"):
            assert secret not in str(found)
            assert secret not in caplog.text

    @pytest.mark.parametrize(
        ("auth", "problem"),
        [
            ({"none": True}, "MISSING_SECRET"),
            ({"awsIam": {"regionName": "eu-central-1"}}, "MISSING_SECRET"),
            ({"awsIam": {**AUTH, "secretAccessKey": "os.environ/AWS_SECRET_ACCESS_KEY"}}, "MISSING_SECRET"),
            ({"awsIam": {**AUTH, "regionName": None}}, "BAD_REQUEST"),
        ],
    )
    async def test_nobody_is_asked_with_less(
        self, tester: Any, stand_in: StandIn, auth: dict[str, Any], problem: str
    ) -> None:
        found = await models(tester, "bedrock", apiBase=f"{stand_in.url}/bedrock", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", problem)
        assert stand_in.requests == []

    async def test_only_where_the_policy_permits(self, client: Any, stand_in: StandIn) -> None:
        found = await models(client, "bedrock", apiBase=f"{stand_in.url}/bedrock", auth={"awsIam": self.AUTH})
        assert (found["source"], found["problem"]) == ("REGISTRY", "BLOCKED")
        assert stand_in.requests == []

    @pytest.mark.parametrize(("path", "problem"), [("nothing", "NOT_FOUND"), ("bedrock-text", "BAD_ANSWER")])
    async def test_no_list_at_this_address(self, tester: Any, stand_in: StandIn, path: str, problem: str) -> None:
        found = await models(tester, "bedrock", apiBase=f"{stand_in.url}/{path}", auth={"awsIam": self.AUTH})
        assert (found["source"], found["problem"]) == ("REGISTRY", problem)

    async def test_nobody_there(self, tester: Any) -> None:
        found = await models(tester, "bedrock", apiBase="http://127.0.0.1:1", auth={"awsIam": self.AUTH})
        assert (found["source"], found["problem"]) == ("REGISTRY", "CONNECTION")


class TestStoredCredentials:
    async def test_go_where_they_were_stored_for(self, tester: Any, stand_in: StandIn) -> None:
        config = await tester.create("mine", provider="openai", apiBase=f"{stand_in.url}/v1", auth=KEYED)
        found = await models(tester, "openai", modelConfig=config["id"])
        assert found["source"] == "PROVIDER"
        assert names(found) == ["gpt-a", "gpt-b"]

    async def test_go_to_no_other_address(self, tester: Any, stand_in: StandIn) -> None:
        config = await tester.create("mine", provider="openai", apiBase="https://h.example/v1", auth=KEYED)
        found = await models(tester, "openai", modelConfig=config["id"], apiBase=f"{stand_in.url}/v1")
        assert (found["source"], found["problem"]) == ("REGISTRY", "MISSING_SECRET")
        assert "belong to another" in found["message"]
        assert stand_in.requests == []

    async def test_go_to_no_other_provider(self, tester: Any, stand_in: StandIn) -> None:
        config = await tester.create("mine", provider="openai", apiBase=stand_in.url, auth=KEYED)
        found = await models(tester, "ollama", modelConfig=config["id"])
        assert (found["source"], found["problem"]) == ("REGISTRY", "MISSING_SECRET")
        assert stand_in.requests == []

    async def test_are_no_longer_meant_when_the_request_brings_its_own(self, tester: Any, stand_in: StandIn) -> None:
        stored = {"apiKey": {"apiKey": "stored-canary-key-1234"}}
        config = await tester.create("mine", provider="openai", apiBase="https://h.example/v1", auth=stored)
        using = {"modelConfig": config["id"], "apiBase": f"{stand_in.url}/v1", "auth": KEYED}
        assert (await models(tester, "openai", **using))["source"] == "PROVIDER"
        assert "stored-canary" not in str(stand_in.requests)

    async def test_and_without_any_where_the_request_says_none(self, tester: Any, stand_in: StandIn) -> None:
        config = await tester.create("mine", provider="ollama", apiBase="https://h.example", auth=KEYED)
        using = {"modelConfig": config["id"], "apiBase": stand_in.url, "auth": {"none": True}}
        assert (await models(tester, "ollama", **using))["source"] == "PROVIDER"
        assert KEY not in str(stand_in.requests)

    async def test_that_do_not_open_have_to_be_given(self, tester: Any, stand_in: StandIn, tmp_path: Path) -> None:
        config = await tester.create("mine", provider="openai", apiBase=f"{stand_in.url}/v1", auth=KEYED)
        with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
            connection.execute("UPDATE model_config_changes SET sealed = X'00' WHERE sealed IS NOT NULL")
        with tester.refused("BAD_USER_INPUT", match="cannot be opened"):
            await models(tester, "openai", modelConfig=config["id"])
        assert stand_in.requests == []
        assert (await models(tester, "openai", modelConfig=config["id"], auth=KEYED))["source"] == "PROVIDER"

    @pytest.mark.parametrize(
        "given",
        [
            {"auth": {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}},
            {"auth": KEYED, "apiBase": "os.environ/OPENAI_API_BASE"},
        ],
    )
    async def test_references_are_not_resolved(
        self, tester: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_API_BASE", f"{stand_in.url}/v1")
        found = await models(tester, "openai", **{"apiBase": f"{stand_in.url}/v1", **given})
        assert (found["source"], found["problem"]) == ("REGISTRY", "MISSING_SECRET")
        assert stand_in.requests == []

    async def test_of_a_config_that_the_key_does_not_open(
        self, tester: Any, client_with: Any, stand_in: StandIn
    ) -> None:
        config = await tester.create("theirs", provider="openai", apiBase=f"{stand_in.url}/v1", auth=KEYED)
        bound = client_with(aliases=("ours",)).having(outbound=tester.context.outbound)
        with tester.refused("BAD_USER_INPUT", match="none that you may see"):
            await models(bound, "openai", modelConfig=config["id"])
        assert stand_in.requests == []


class TestRefusals:
    async def test_without_the_scope(self, client: Any, client_with: Any, tester: Any, stand_in: StandIn) -> None:
        reader = client_with(*(ALL_SCOPES - {Scope.MODEL_CONFIG_TEST})).having(outbound=tester.context.outbound)
        with client.refused("FORBIDDEN", match="model_config:test"):
            await models(reader, "ollama", apiBase=stand_in.url)
        assert stand_in.requests == []

    @pytest.mark.parametrize(
        "api_base", ["file:///etc/passwd", "http://u:p@h.example", "h.example", "http://h.example/?x"]
    )
    async def test_what_is_no_address(self, tester: Any, api_base: str) -> None:
        with tester.refused("BAD_USER_INPUT", match="apiBase must be"):
            await models(tester, "openai", apiBase=api_base)

    async def test_not_of_all_providers_at_once(self, tester: Any) -> None:
        with pytest.raises(Exception, match="ask with provider") as refused:
            await tester.run("{ providers { models { source } } }")
        assert set(refused.value.codes) == {"BAD_USER_INPUT"}
