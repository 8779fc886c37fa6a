"""Credentials are write-only, and go only where they were stored to go."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from modelwire.resolvers.access import Scope


class TestCredentials:
    async def test_a_key_is_write_only(self, client: Any) -> None:
        key = "sk-canary-0123456789"
        config = await client.create("mine", provider="openai", model="m", auth={"apiKey": {"apiKey": key}})
        assert config["auth"] == {"__typename": "ApiKeyAuth", "apiKey": {"reference": None, "hint": "6789"}}
        assert (await client.litellm_params("mine"))["api_key"] == key

    async def test_a_reference_is_shown_and_left_to_the_component(self, client: Any) -> None:
        auth = {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}
        config = await client.create("mine", provider="openai", model="m", auth=auth)
        assert config["auth"]["apiKey"] == {"reference": "os.environ/OPENAI_API_KEY", "hint": None}
        assert (await client.litellm_params("mine"))["api_key"] == "os.environ/OPENAI_API_KEY"

    async def test_every_kind_of_auth_in_litellms_names(self, client: Any) -> None:
        account = json.dumps({"private_key": "canary"})
        kinds: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
            "aws": (
                "bedrock",
                {
                    "awsIam": {
                        "accessKeyId": "AKIA1",
                        "secretAccessKey": "s",
                        "sessionToken": "t",
                        "regionName": "eu-west-1",
                    }
                },
                {
                    "aws_access_key_id": "AKIA1",
                    "aws_secret_access_key": "s",
                    "aws_session_token": "t",
                    "aws_region_name": "eu-west-1",
                },
            ),
            "gcp": (
                "vertex_ai",
                {"gcpServiceAccount": {"credentialsJson": account, "project": "p", "location": "europe-west4"}},
                {"vertex_credentials": account, "vertex_project": "p", "vertex_location": "europe-west4"},
            ),
            "oauth": (
                "openai",
                {
                    "oauth2ClientCredentials": {
                        "tokenUrl": "https://login.example/token",
                        "clientId": "me",
                        "clientSecret": "canary",
                        "scope": "a b",
                        "audience": "models",
                        "caCert": "/etc/ca.pem",
                        "tokenRefreshBufferSeconds": 60,
                        "maxRetries": 0,
                    }
                },
                {
                    "oauth_token_url": "https://login.example/token",
                    "oauth_client_id": "me",
                    "oauth_client_secret": "canary",
                    "oauth_scope": "a b",
                    "oauth_audience": "models",
                    "oauth_ca_cert": "/etc/ca.pem",
                    "oauth_token_refresh_buffer_seconds": 60,
                    "oauth_max_retries": 0,
                },
            ),
            "none": ("ollama", {"none": True}, {}),
        }
        for alias, (provider, auth, expected) in kinds.items():
            config = await client.create(alias, provider=provider, model="m", auth=auth)
            assert "canary" not in json.dumps(config)
            assert await client.litellm_params(alias) == {"model": f"{provider}/m", **expected}

    async def test_merged_field_by_field_while_they_go_to_the_same_place(self, client: Any) -> None:
        auth = {"accessKeyId": "AKIA1", "secretAccessKey": "s1", "regionName": "eu-west-1"}
        config = await client.create("mine", provider="bedrock", model="m", auth={"awsIam": auth})
        updated = await client.update(config, auth={"awsIam": {"secretAccessKey": "s2", "regionName": None}})
        assert updated["droppedCredentials"] is False
        assert await client.litellm_params("mine") == {
            "model": "bedrock/m",
            "aws_access_key_id": "AKIA1",
            "aws_secret_access_key": "s2",
        }

    @pytest.mark.parametrize(
        "change",
        [
            {"provider": "anthropic"},
            {"apiBase": "https://elsewhere.example/v1"},
            {"apiBase": "http://models.example/v1"},
            {"apiBase": "https://models.example:8443/v1"},
            {"apiBase": "os.environ/BASE"},
            {"apiBase": None},
            {"auth": {"none": True}},
            {"auth": None},
            {"params": {"fallbacks": [{"model": "x", "api_base": "https://elsewhere.example"}]}},
            {"model": "https://elsewhere.example/m"},
        ],
    )
    async def test_dropped_when_they_would_go_elsewhere(self, client: Any, change: dict[str, Any]) -> None:
        config = await client.create(
            "mine",
            provider="openai",
            model="m",
            apiBase="https://models.example/v1",
            auth={"apiKey": {"apiKey": "sk-canary"}},
            params={"extra_headers": {"X-Token": "canary"}, "n": 1},
        )
        updated = await client.update(config, **change)
        assert updated["droppedCredentials"] is True
        assert updated["modelConfig"]["sealedParams"] == []
        assert "canary" not in json.dumps(await client.litellm_params("mine"))

    async def test_kept_within_the_same_origin(self, client: Any) -> None:
        auth = {"apiKey": {"apiKey": "sk-canary"}}
        base = "https://models.example/v1"
        config = await client.create("mine", provider="openai", model="m", apiBase=base, auth=auth)
        updated = await client.update(config, apiBase="https://MODELS.example:443/v2", model="m2", params={"n": 1})
        assert updated["droppedCredentials"] is False
        assert (await client.litellm_params("mine"))["api_key"] == "sk-canary"

    async def test_given_anew_they_are_not_dropped(self, client: Any) -> None:
        config = await client.create("mine", provider="openai", model="m", auth={"apiKey": {"apiKey": "old"}})
        updated = await client.update(config, provider="anthropic", auth={"apiKey": {"apiKey": "new"}})
        assert updated["droppedCredentials"] is False
        assert (await client.litellm_params("mine"))["api_key"] == "new"

    async def test_sealed_params(self, client: Any) -> None:
        params = {"temperature": 0.5, "extra_headers": {"X": "canary"}, "s3_secret_access_key": "canary-2"}
        config = await client.create("mine", provider="openai", model="m", params=params)
        assert config["params"] == {"temperature": 0.5}
        assert config["sealedParams"] == ["extra_headers", "s3_secret_access_key"]
        assert await client.litellm_params("mine") == {"model": "openai/m", **params}
        updated = (await client.update(config, params={"top_p": 1, "extra_headers": None}))["modelConfig"]
        assert (updated["params"], updated["sealedParams"]) == ({"top_p": 1}, ["s3_secret_access_key"])
        cleared = (await client.update(updated, params=None))["modelConfig"]
        assert (cleared["params"], cleared["sealedParams"]) == ({}, [])

    async def test_canaries_leave_by_litellm_params_alone(self, client: Any, client_with: Any) -> None:
        secrets = {
            "key": {"apiKey": {"apiKey": "canary-1-value-that-is-long"}},
            "oauth": {
                "oauth2ClientCredentials": {
                    "tokenUrl": "https://login.example",
                    "clientId": "me",
                    "clientSecret": "canary-2-value-that-is-long",
                }
            },
            "aws": {"awsIam": {"accessKeyId": "canary-3-value-x", "secretAccessKey": "canary-4-value-y"}},
            "gcp": {"gcpServiceAccount": {"credentialsJson": '{"private_key": "canary-5"}'}},
        }
        outputs: list[Any] = []
        for alias, auth in secrets.items():
            params = {"extra_headers": {"Authorization": "Bearer canary-6"}, "azure_password": "canary-7"}
            config = await client.create(alias, provider="openai", model="m", auth=auth, params=params)
            outputs += [config, await client.update(config, description="changed")]
            outputs.append(await client.update(config, description="conflict"))
        outputs.append(await client.run("list"))
        async with aclosing(client.watch()) as events:
            outputs.append(await anext(events))
        params = "{model: openai/m, api_key: canary-8, azure_password: canary-9}"
        content = f"model_list:\n- model_name: k\n  litellm_params: {params}"
        for dry_run in (True, False, False):
            outputs.append(await client.mutate("import", content=content, dryRun=dry_run))
        outputs.append(await client.mutate("import", content="model_list: [canary-10"))
        reader = client_with(Scope.MODEL_CONFIG_READ)
        with client.refused("FORBIDDEN") as refused:
            await reader.run("resolve", by={"alias": "key"})
        outputs += [str(refused.value), refused.value.data]
        assert "canary" not in json.dumps(outputs)
        assert "canary-1" in json.dumps(await client.litellm_params("key"))
