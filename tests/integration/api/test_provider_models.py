"""The models of a provider: over the providers' own wire formats, with stored and with given credentials."""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from stand_ins.model_lists import AWS_KEY_ID, KEY, StandIn, google_key_file, running_stand_in

from modelwire.resolvers import provider_libraries, provider_models
from modelwire.resolvers.access import ALL_SCOPES, Scope
from modelwire.resolvers.litellm_call_vertex import vertex_models
from modelwire.resolvers.litellm_calls import Answer
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


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1"), ("azure", "")])
async def test_of_a_page_so_many_are_looked_at(
    tester: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, provider: str, path: str
) -> None:
    """Who may test names who answers, and millions of names on a few pages took gigabytes."""
    whole = names(await models(tester, provider, apiBase=stand_in.url + path, auth=KEYED))
    monkeypatch.setattr(provider_models, "_MAX_LISTED", 1)
    found = await models(tester, provider, apiBase=stand_in.url + path, auth=KEYED)
    assert found["source"] == "PROVIDER"
    assert set(names(found)) < set(whole)


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
        ("/unwritable", "BAD_ANSWER"),
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
    found = await models(client, "cohere")
    assert (found["source"], found["problem"]) == ("REGISTRY", "NOT_LISTED")
    assert "command-r-08-2024" in names(found)


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


class TestVertex:
    """google-auth signs in, in a process of its own."""

    MODELS: ClassVar = ["claude-a", "claude-b@20260101", "gemini-a", "gemini-b"]

    @pytest.fixture
    def tester(self, client: Any) -> Any:
        """A client of a server that may call loopback, and take tokens from there."""
        policy = OutboundPolicy(allowed_hosts=frozenset({"127.0.0.1"}), litellm_timeout_seconds=60)
        return client.having(outbound=Outbound(policy=policy))

    @staticmethod
    def auth(stand_in: StandIn, **more: Any) -> dict[str, Any]:
        return {"gcpServiceAccount": {"credentialsJson": google_key_file(f"{stand_in.url}/google/token", **more)}}

    @pytest.mark.parametrize("path", ["/vertex", "/vertex/v1/"])
    async def test_with_a_key_file(self, tester: Any, stand_in: StandIn, path: str) -> None:
        found = await models(tester, "vertex_ai", apiBase=stand_in.url + path, auth=self.auth(stand_in))
        assert (found["source"], found["problem"], found["message"]) == ("PROVIDER", None, None)
        assert names(found) == self.MODELS
        assert [path for path, _ in stand_in.requests] == [
            "/google/token",
            *["/vertex/v1beta1/publishers/google/models"] * 2,
            "/vertex/v1beta1/publishers/anthropic/models",
        ]

    async def test_with_stored_credentials(self, tester: Any, stand_in: StandIn) -> None:
        given = {"apiBase": f"{stand_in.url}/vertex", "auth": self.auth(stand_in)}
        config = await tester.create("mine", provider="vertex_ai", **given)
        assert names(await models(tester, "vertex_ai", modelConfig=config["id"])) == self.MODELS
        elsewhere = await models(tester, "vertex_ai", modelConfig=config["id"], apiBase="http://localhost:1")
        assert (elsewhere["source"], elsewhere["problem"]) == ("REGISTRY", "MISSING_SECRET")

    async def test_without_an_address_google_is_asked(self, tester: Any, stand_in: StandIn) -> None:
        """Over TLS, so nothing here answers; which host is asked for is what is tested."""
        host, asked = "europe-west4-aiplatform.googleapis.com", []

        async def resolve(name: str, _port: int) -> Sequence[str]:
            asked.append(name)
            return ["127.0.0.1"]

        policy = OutboundPolicy(allowed_hosts=frozenset({host, "127.0.0.1"}), litellm_timeout_seconds=60)
        auth = self.auth(stand_in)
        auth["gcpServiceAccount"]["location"] = "europe-west4"
        there = tester.having(outbound=Outbound(policy=policy, resolve=resolve))
        found = await models(there, "vertex_ai", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "CONNECTION")
        assert asked == ["127.0.0.1", host]
        assert [path for path, _ in stand_in.requests] == ["/google/token"]

    async def test_without_google_auth(self, tester: Any, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        async def make_call(_outbound: Outbound, _call: str, request: Any, **_: Any) -> Answer:
            return Answer(content=await vertex_models(request), problem=None)

        monkeypatch.setattr(provider_libraries, "make_call", make_call)
        monkeypatch.setitem(sys.modules, "google.oauth2.service_account", None)
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=self.auth(stand_in))
        assert (found["source"], found["problem"]) == ("REGISTRY", "NOT_LISTED")
        assert "google-auth, which is not installed" in found["message"]
        assert "gemini-2.5-flash" in names(found)
        assert stand_in.requests == []

    async def test_that_are_refused(self, tester: Any, stand_in: StandIn, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        auth = self.auth(stand_in, key=other)
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "AUTHENTICATION")
        assert found["message"] == "the credentials were refused"
        assert names(found)
        for told in (str(found), caplog.text):
            assert KEY not in told
            assert "PRIVATE KEY" not in told

    @pytest.mark.parametrize(
        ("path", "problem"),
        [("nothing", "NOT_FOUND"), ("vertex-text", "BAD_ANSWER"), ("vertex-redirect", "BAD_ANSWER")],
    )
    async def test_no_list_at_this_address(self, tester: Any, stand_in: StandIn, path: str, problem: str) -> None:
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/{path}", auth=self.auth(stand_in))
        assert (found["source"], found["problem"]) == ("REGISTRY", problem)

    async def test_nobody_gives_tokens_at_this_address(self, tester: Any, stand_in: StandIn) -> None:
        auth = {"gcpServiceAccount": {"credentialsJson": google_key_file(f"{stand_in.url}/nothing")}}
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "BAD_ANSWER")
        auth = {"gcpServiceAccount": {"credentialsJson": google_key_file("http://127.0.0.1:1")}}
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "CONNECTION")

    async def test_no_key_in_the_file(self, tester: Any, stand_in: StandIn) -> None:
        auth = self.auth(stand_in, private_key="canary")
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", "BAD_REQUEST")
        assert "canary" not in str(found)
        assert stand_in.requests == []

    async def test_a_token_comes_from_google_or_from_whom_the_operator_names(
        self, client: Any, stand_in: StandIn
    ) -> None:
        """Not from any private address, though these may be called."""
        open_ = client.having(outbound=Outbound(policy=OutboundPolicy(private_addresses=True)))
        found = await models(open_, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=self.auth(stand_in))
        assert (found["source"], found["problem"]) == ("REGISTRY", "BLOCKED")
        assert "MODELWIRE_OUTBOUND_ALLOWED_HOSTS" in found["message"]
        assert stand_in.requests == []

    @pytest.mark.parametrize(
        ("token_uri", "problem"),
        [
            ("https://oauth2.googleapis.com.evil.example/token", "BLOCKED"),
            ("http://oauth2.googleapis.com/token", "BLOCKED"),
            ("file:///etc/passwd", "BLOCKED"),
            ("https://[", "BAD_REQUEST"),
            ("https://oauth2.googleapis.com:x/token", "BAD_REQUEST"),
        ],
    )
    async def test_from_nowhere_else(self, tester: Any, stand_in: StandIn, token_uri: str, problem: str) -> None:
        auth = {"gcpServiceAccount": {"credentialsJson": google_key_file(token_uri)}}
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", problem)
        assert stand_in.requests == []

    @pytest.mark.parametrize(
        ("auth", "problem"),
        [
            ({"none": True}, "MISSING_SECRET"),
            ({"gcpServiceAccount": {"location": "eu"}}, "MISSING_SECRET"),
            ({"gcpServiceAccount": {"credentialsJson": "os.environ/GOOGLE_KEY_FILE"}}, "MISSING_SECRET"),
            ({"gcpServiceAccount": {"credentialsJson": "{}"}}, "BAD_REQUEST"),
            ({"gcpServiceAccount": {"credentialsJson": '{"type": "external_account"}'}}, "BAD_REQUEST"),
        ],
    )
    async def test_nobody_is_asked_with_less(
        self, tester: Any, stand_in: StandIn, auth: dict[str, Any], problem: str
    ) -> None:
        found = await models(tester, "vertex_ai", apiBase=f"{stand_in.url}/vertex", auth=auth)
        assert (found["source"], found["problem"]) == ("REGISTRY", problem)
        assert "gemini-2.5-flash" in names(found)
        assert stand_in.requests == []


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
