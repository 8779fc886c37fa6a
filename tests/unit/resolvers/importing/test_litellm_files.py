"""The configuration files that LiteLLM ships: the whole outcome of each, word for word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers.importing import ImportedModel, ImportFormat, ParsedEntry, ParsedFile, parse_import
from modelwire.resolvers.inputs import AuthInput
from modelwire.store import AuthType

ROOT = Path(__file__).parents[4]
FILES = ROOT / "tests" / "data" / "litellm"

NO_AUTH = AuthInput(type=AuthType.NONE)
US_EAST_1 = AuthInput(type=AuthType.AWS_IAM, values={"region_name": "us-east-1"})


def api_key(value: str) -> AuthInput:
    return AuthInput(type=AuthType.API_KEY, values={"api_key": value})


def taken(alias: str, *, ignored: tuple[str, ...] = (), **model: Any) -> ParsedEntry:
    return ParsedEntry(alias=alias, model=ImportedModel(alias=alias, **model), ignored=ignored)


def skipped(alias: str, reason: str) -> ParsedEntry:
    return ParsedEntry(alias=alias, reason=reason)


def bedrock(alias: str, model: str) -> ParsedEntry:
    return taken(alias, provider="bedrock", model=model, auth=US_EAST_1)


def wildcard(alias: str) -> ParsedEntry:
    return skipped(
        alias,
        f"'{alias}' is a wildcard that stands for many models: write one entry per model, each with a name without *",
    )


SECOND_DEPLOYMENT = skipped(
    "gpt-3.5-turbo",
    "an earlier entry has the name 'gpt-3.5-turbo' already, and the first wins: LiteLLM's load balancing between "
    "deployments is not imported; give this deployment a name of its own",
)

EXPECTED = {
    "simple_config.yaml": ParsedFile(
        entries=(taken("gpt-5-mini", provider="openai", model="gpt-5-mini", auth=NO_AUTH),),
        ignored_sections=(),
    ),
    "azure_config.yaml": ParsedFile(
        entries=(
            taken(
                "gpt-4-team1",
                provider="azure",
                model="chatgpt-v-2",
                api_base="https://openai-gpt-4-test-v-1.openai.azure.com/",
                auth=api_key("os.environ/AZURE_API_KEY"),
                params={"api_version": "2023-05-15", "timeout": 5, "stream_timeout": 0.5, "max_retries": 4},
                ignored=("tpm",),
            ),
            taken(
                "gpt-4-team2",
                provider="azure",
                model="gpt-4",
                api_base="https://openai-gpt-4-test-v-2.openai.azure.com/",
                auth=api_key("os.environ/AZURE_API_KEY"),
                params={"timeout": 5, "stream_timeout": 0.5, "max_retries": 4},
                ignored=("tpm",),
            ),
        ),
        ignored_sections=(),
    ),
    "load_balancer.yaml": ParsedFile(
        entries=(
            taken(
                "gpt-3.5-turbo",
                provider="openai",
                model="gpt-3.5-turbo",
                auth=api_key("sk-uj6F"),
                ignored=("tpm", "rpm"),
            ),
            SECOND_DEPLOYMENT,
            SECOND_DEPLOYMENT,
            skipped(
                "mistral-7b-instruct",
                "LiteLLM cannot tell the provider of the model 'mistralai/mistral-7b-instruct': set "
                "`custom_llm_provider`, or write the model as provider/model, for example "
                "openrouter/mistralai/mistral-7b-instruct",
            ),
        ),
        ignored_sections=("litellm_settings", "environment_variables"),
    ),
    "oai_misc_config.yaml": ParsedFile(
        entries=(
            taken(
                "gpt-5-mini-end-user-test",
                provider="openai",
                model="gpt-5-mini",
                auth=NO_AUTH,
                params={"region_name": "eu"},
                ignored=("model_info",),
            ),
            wildcard("*"),
            wildcard("anthropic/*"),
            wildcard("groq/*"),
            taken(
                "bedrock/batch-us.anthropic.claude-haiku-4-5-20251001-v1:0",
                provider="bedrock",
                model="us.anthropic.claude-haiku-4-5-20251001-v1:0",
                auth=NO_AUTH,
                params={
                    "s3_bucket_name": "litellm-proxy",
                    "s3_region_name": "us-west-2",
                    "s3_access_key_id": "os.environ/AWS_ACCESS_KEY_ID",
                    "s3_secret_access_key": "os.environ/AWS_SECRET_ACCESS_KEY",
                    "aws_batch_role_arn": "arn:aws:iam::888602223428:role/service-role/"
                    "AmazonBedrockExecutionRoleForAgents_BB9HNW6V4CV",
                },
                ignored=("model_info",),
            ),
        ),
        ignored_sections=("litellm_settings", "finetune_settings", "files_settings", "general_settings"),
    ),
    "proxy_config.yaml": ParsedFile(
        entries=(
            taken("gpt-4o", provider="openai", model="gpt-4o", auth=api_key("os.environ/OPENAI_API_KEY")),
            taken(
                "text-embedding-3-small",
                provider="openai",
                model="text-embedding-3-small",
                auth=api_key("os.environ/OPENAI_API_KEY"),
            ),
            bedrock("bedrock-claude-sonnet-3.5", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
            bedrock("bedrock-claude-sonnet-4", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
            bedrock("bedrock-claude-sonnet-4.5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            bedrock("bedrock-claude-opus-4.5", "converse/us.anthropic.claude-opus-4-5-20251101-v1:0"),
            bedrock("bedrock-nova-premier", "us.amazon.nova-premier-v1:0"),
        ),
        ignored_sections=("mcp_servers", "general_settings", "litellm_settings"),
    ),
}


def test_every_file_has_its_expectation() -> None:
    assert {path.name for path in FILES.glob("*.yaml")} == set(EXPECTED)


@pytest.mark.parametrize("format_", [ImportFormat.AUTO, ImportFormat.LITELLM])
@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_a_file_of_litellm(name: str, format_: ImportFormat) -> None:
    assert await parse_import((FILES / name).read_text(), format_) == EXPECTED[name]


async def test_the_example_is_litellms_file_under_a_comment_that_names_its_origin() -> None:
    example = (ROOT / "examples" / "proxy_config.yaml").read_text()
    origin = (FILES / "proxy_config.yaml").read_text()

    comment = example.removesuffix(origin)

    assert len(comment) == len(example) - len(origin)
    assert all(line.startswith("#") for line in comment.splitlines() if line)
    assert "package litellm 1.109.1" in comment
    assert "MIT" in comment


@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_no_repr_shows_a_secret(name: str) -> None:
    parsed = await parse_import((FILES / name).read_text(), ImportFormat.AUTO)

    assert "sk-uj6F" not in repr(parsed)
    assert "s3_secret_access_key" not in repr(parsed)
