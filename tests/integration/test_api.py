"""The API against a real store: GraphQL documents in, results out. HTTP and websockets are tested beside."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal, Scope
from modelwire.resolvers.api_keys import verify_api_key
from modelwire.resolvers.errors import RequestError
from modelwire.schema import schema
from modelwire.store import AliasPatterns, Feed, Keyring, Store, migrate, open_store

DATA = Path(__file__).parents[1] / "data" / "litellm"
WAIT_SECONDS = 10.0

CONFIG = """
fragment Config on ModelConfig {
  __typename id alias description provider model apiBase
  auth {
    __typename
    ... on ApiKeyAuth { apiKey { reference hint } }
    ... on OAuth2ClientCredentialsAuth {
      tokenUrl clientId clientSecret { reference hint } scope audience caCert tokenRefreshBufferSeconds maxRetries
    }
    ... on AwsIamAuth {
      accessKeyId { reference hint } secretAccessKey { reference hint } sessionToken { reference hint } regionName
    }
    ... on GcpServiceAccountAuth { credentialsJson { reference hint } project location }
    ... on NoAuth { none }
  }
  params sealedParams maxInputTokens configured isDefault version revision
  createdAt createdBy updatedAt updatedBy litellmModel
}
"""
ERROR = "... on UserError { message path }"
CREATE = f"""
mutation ($input: CreateModelConfigInput!) {{
  createModelConfig(input: $input) {{
    __typename ... on CreateModelConfigPayload {{ modelConfig {{ ...Config }} }} {ERROR}
  }}
}} {CONFIG}"""
UPDATE = f"""
mutation ($input: UpdateModelConfigInput!) {{
  updateModelConfig(input: $input) {{
    __typename ... on UpdateModelConfigPayload {{ modelConfig {{ ...Config }} droppedCredentials }}
    {ERROR} ... on VersionConflict {{ current {{ ...Config }} }}
  }}
}} {CONFIG}"""
DELETE = f"""
mutation ($input: DeleteModelConfigInput!) {{
  deleteModelConfig(input: $input) {{
    __typename ... on DeleteModelConfigPayload {{ id alias revision }} {ERROR}
    ... on VersionConflict {{ current {{ ...Config }} }}
  }}
}} {CONFIG}"""
IMPORT = f"""
mutation ($input: ImportModelConfigsInput!) {{
  importModelConfigs(input: $input) {{
    __typename
    ... on ImportModelConfigsPayload {{ entries {{ alias action reason ignored }} ignoredSections revision }} {ERROR}
  }}
}}"""
CREATE_KEY = f"""
mutation ($input: CreateApiKeyInput!) {{
  createApiKey(input: $input) {{
    __typename
    ... on CreateApiKeyPayload {{
      secret apiKey {{ id name scopes aliases createdAt createdBy expiresAt }}
    }} {ERROR}
  }}
}}"""
FIND = f"query ($by: ModelConfigRef!) {{ modelConfig(by: $by) {{ ...Config }} }} {CONFIG}"
RESOLVE = "query ($by: ModelConfigRef!) { modelConfig(by: $by) { alias litellmParams } }"
LIST = f"""
query ($first: Int, $after: String, $filter: ModelConfigFilter) {{
  modelConfigs(first: $first, after: $after, filter: $filter) {{
    edges {{ cursor node {{ ...Config }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }}
}} {CONFIG}"""
WATCH = f"""
subscription ($by: [ModelConfigRef!], $since: Revision) {{
  modelConfigChanged(by: $by, since: $since) {{
    __typename revision
    ... on ModelConfigSnapshot {{ reset modelConfigs {{ ...Config }} }}
    ... on ModelConfigChange {{ put {{ ...Config }} removed {{ id alias }} }}
  }}
}} {CONFIG}"""


class Refused(Exception):
    """The request was answered with errors; `codes` are those of the errors that resolvers raised on purpose."""

    def __init__(self, errors: list[Any], data: dict[str, Any] | None) -> None:
        super().__init__("; ".join(error.message for error in errors))
        causes = [error.original_error for error in errors]
        self.codes = [cause.code for cause in causes if isinstance(cause, RequestError)]
        self.paths = [error.path for error in errors]
        self.data = data


class Client:
    """Somebody who uses the API with one API key."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @property
    def store(self) -> Store:
        return self.context.store

    async def run(self, document: str, **variables: Any) -> dict[str, Any]:
        result = await schema.execute(document, variable_values=variables, context_value=self.context)
        if result.errors:
            raise Refused(result.errors, result.data)
        assert result.data is not None
        return result.data

    async def mutate(self, document: str, **given: Any) -> dict[str, Any]:
        (result,) = (await self.run(document, input=given)).values()
        assert isinstance(result, dict)
        return result

    async def create(self, alias: str, **given: Any) -> dict[str, Any]:
        created = await self.mutate(CREATE, alias=alias, **given)
        assert created["__typename"] == "CreateModelConfigPayload", created
        config = created["modelConfig"]
        assert isinstance(config, dict)
        return config

    async def update(self, config: dict[str, Any], **given: Any) -> dict[str, Any]:
        return await self.mutate(UPDATE, id=config["id"], expectedVersion=config["version"], **given)

    async def find(self, **by: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self.run(FIND, by=by))["modelConfig"]
        return found

    async def litellm_params(self, alias: str) -> dict[str, Any]:
        params = (await self.run(RESOLVE, by={"alias": alias}))["modelConfig"]["litellmParams"]
        assert isinstance(params, dict)
        return params

    async def aliases(self, **arguments: Any) -> list[str]:
        edges = (await self.run(LIST, **arguments))["modelConfigs"]["edges"]
        return [edge["node"]["alias"] for edge in edges]

    async def everything(self) -> list[Any]:
        """All that could have changed: for "nothing changed"."""
        return [await self.store.revision(), (await self.run(LIST, first=100))["modelConfigs"]["edges"]]

    async def watch(self, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
        results = await schema.subscribe(WATCH, variable_values=variables, context_value=self.context)
        async with aclosing(results):  # type: ignore[type-var]
            while True:
                async with asyncio.timeout(WAIT_SECONDS):
                    result = await anext(results)
                if result.errors:
                    raise Refused(result.errors, result.data)
                yield result.data["modelConfigChanged"]


As = Callable[..., Client]


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("api") / "new.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
async def store(new_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    path = shutil.copy(new_database, tmp_path / "store.db")
    store = await open_store(f"sqlite:///{path}", Keyring.parse("test:" + "A" * 43))
    yield store
    await store.close()


@pytest.fixture
async def feed(store: Store) -> AsyncIterator[Feed]:
    feed = Feed(store)
    store.on_commit(feed.wake)
    await feed.start()
    yield feed
    await feed.stop()


@pytest.fixture
def client_with(store: Store, feed: Feed) -> As:
    """Makes a client: with these scopes (all by default), bound to these aliases (none by default)."""

    def make(*scopes: Scope, aliases: tuple[str, ...] | None = None, expires_at: datetime | None = None) -> Client:
        principal = Principal(
            subject="api_key:aaaaaaaaaa",
            name="tests",
            scopes=frozenset(scopes) or ALL_SCOPES,
            aliases=AliasPatterns(aliases),
            expires_at=expires_at,
        )
        return Client(Context(principal, store, feed))

    return make


@pytest.fixture
def client(client_with: As) -> Client:
    return client_with()


class TestReading:
    async def test_placeholders_are_there_from_the_start(self, client: Client) -> None:
        assert await client.aliases() == ["general", "planning"]
        general = await client.find(alias="general")
        assert general is not None
        assert (general["configured"], general["isDefault"], general["version"]) == (False, True, 1)
        assert (general["provider"], general["model"], general["litellmModel"]) == (None, None, None)
        assert general["auth"] == {"__typename": "NoAuth", "none": True}
        assert (await client.run(RESOLVE, by={"alias": "general"}))["modelConfig"]["litellmParams"] is None

    async def test_by_id_by_alias_and_as_node(self, client: Client) -> None:
        config = await client.create("mine", provider="openai", model="gpt-5-mini")
        assert await client.find(id=config["id"]) == config
        assert await client.find(alias="mine") == config
        node = await client.run("query ($id: ID!) { node(id: $id) { __typename id } }", id=config["id"])
        assert node == {"node": {"__typename": "ModelConfig", "id": config["id"]}}

    @pytest.mark.parametrize(
        "by", [{"id": "none"}, {"alias": "none"}, {"alias": ""}, {"alias": "\ud800"}, {"id": "\0"}]
    )
    async def test_what_is_not_there_is_null(self, client: Client, by: dict[str, str]) -> None:
        assert await client.find(**by) is None

    async def test_a_ref_names_exactly_one(self, client: Client) -> None:
        for by in ({}, {"id": "a", "alias": "b"}, {"id": None}):
            with pytest.raises(Refused):
                await client.run(FIND, by=by)

    async def test_pages_follow_their_cursors(self, client: Client) -> None:
        for alias in ("b", "a", "ä", "Z"):
            await client.create(alias)
        seen, after = [], None
        while True:
            page = (await client.run(LIST, first=2, after=after))["modelConfigs"]
            seen += [edge["node"]["alias"] for edge in page["edges"]]
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            after = page["pageInfo"]["endCursor"]
            assert after == page["edges"][-1]["cursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert seen == ["Z", "a", "b", "general", "planning", "ä"]
        empty = (await client.run(LIST, after=after))["modelConfigs"]
        assert empty["edges"] == []
        assert empty["pageInfo"]["endCursor"] is None

    @pytest.mark.parametrize("arguments", [{"first": 0}, {"first": 101}, {"after": "?"}, {"after": "////"}])
    async def test_page_arguments_are_checked(self, client: Client, arguments: dict[str, Any]) -> None:
        with pytest.raises(Refused) as refused:
            await client.run(LIST, **arguments)
        assert refused.value.codes == ["BAD_USER_INPUT"]

    async def test_a_filter_narrows_also_over_pages(self, client: Client) -> None:
        await client.create("one", provider="openai", model="GPT-5-Mini")
        await client.create("two", provider="ollama", description="our gpt-5-mini at home")
        await client.create("three", provider="openai")
        assert await client.aliases(filter={"search": "gpt-5-MINI"}) == ["one", "two"]
        assert await client.aliases(filter={"provider": "openai"}) == ["one", "three"]
        assert await client.aliases(filter={"configured": True}) == ["one"]
        assert await client.aliases(filter={"configured": False, "provider": "ollama", "search": None}) == ["two"]
        page = (await client.run(LIST, first=1, filter={"provider": "openai"}))["modelConfigs"]
        assert page["pageInfo"]["hasNextPage"] is True
        assert await client.aliases(after=page["pageInfo"]["endCursor"], filter={"provider": "openai"}) == ["three"]

    async def test_viewer(self, client_with: As) -> None:
        end = datetime(2090, 1, 1, tzinfo=UTC)
        client = client_with(Scope.MODEL_CONFIG_READ, aliases=("general",), expires_at=end)
        viewer = await client.run("{ viewer { subject name scopes aliases tokenExpiresAt } }")
        assert viewer["viewer"] == {
            "subject": "api_key:aaaaaaaaaa",
            "name": "tests",
            "scopes": ["model_config:read"],
            "aliases": ["general"],
            "tokenExpiresAt": "2090-01-01T00:00:00+00:00",
        }


class TestCreate:
    async def test_everything_that_can_be_given_comes_back(self, client: Client) -> None:
        given = {
            "provider": "openai",
            "model": "gpt-5-mini",
            "apiBase": "https://models.example/v1",
            "description": "für alle",
            "params": {"temperature": 0.2, "stop": ["a"], "user": None},
            "maxInputTokens": 100_000,
        }
        config = await client.create("team/a:b.c@d", **given)
        assert {name: config[name] for name in given} == given
        assert config["configured"] is True
        assert config["version"] == 1
        assert config["createdBy"] == config["updatedBy"] == "api_key:aaaaaaaaaa"
        assert await client.litellm_params("team/a:b.c@d") == {
            "model": "openai/gpt-5-mini",
            "api_base": "https://models.example/v1",
            "temperature": 0.2,
            "stop": ["a"],
            "user": None,
        }

    async def test_validate_only_checks_all_and_writes_nothing(self, client: Client) -> None:
        before = await client.everything()
        valid = await client.mutate(CREATE, alias="new", validateOnly=True)
        assert valid == {"__typename": "CreateModelConfigPayload", "modelConfig": None}
        taken = await client.mutate(CREATE, alias="general", validateOnly=True)
        assert taken["__typename"] == "AliasTaken"
        wrong = await client.mutate(CREATE, alias="", validateOnly=True)
        assert wrong["__typename"] == "InvalidInput"
        assert await client.everything() == before

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"alias": ""}, ["input", "alias"]),
            ({"alias": "x" * 101}, ["input", "alias"]),
            ({"alias": "openai/*"}, ["input", "alias"]),
            ({"alias": "a", "params": {"model": "gpt-5"}}, ["input", "params", "model"]),
            ({"alias": "a", "params": {"messages": []}}, ["input", "params", "messages"]),
            ({"alias": "a", "params": {"stream": True}}, ["input", "params", "stream"]),
            ({"alias": "a", "params": {"api_key": "sk-canary-4711"}}, ["input", "params", "api_key"]),
            ({"alias": "a", "params": []}, ["input", "params"]),
            ({"alias": "a", "apiBase": "ftp://host"}, ["input", "apiBase"]),
            ({"alias": "a", "auth": {"none": False}}, ["input", "auth", "none"]),
            ({"alias": "a", "auth": {"apiKey": {"apiKey": ""}}}, ["input", "auth", "apiKey", "apiKey"]),
        ],
    )
    async def test_bad_input_is_a_typed_error_and_changes_nothing(
        self, client: Client, given: dict[str, Any], path: list[str]
    ) -> None:
        before = await client.everything()
        refused = await client.mutate(CREATE, **given)
        assert refused["__typename"] == "InvalidInput"
        assert refused["path"] == path
        assert refused["message"]
        assert "canary" not in refused["message"]
        assert await client.everything() == before

    async def test_a_taken_alias(self, client: Client) -> None:
        await client.create("mine")
        before = await client.everything()
        refused = await client.mutate(CREATE, alias="mine", provider="openai")
        assert (refused["__typename"], refused["path"]) == ("AliasTaken", ["input", "alias"])
        assert await client.everything() == before
        assert (await client.create("Mine"))["alias"] == "Mine"

    @pytest.mark.parametrize(
        "given",
        [
            {"alias": "a", "aliass": "b"},
            {},
            {"alias": None},
            {"alias": "a", "auth": {}},
            {"alias": "a", "auth": {"x": 1}},
        ],
    )
    async def test_an_unknown_or_missing_field_is_refused_by_the_schema(
        self, client: Client, given: dict[str, Any]
    ) -> None:
        before = await client.everything()
        with pytest.raises(Refused):
            await client.mutate(CREATE, **given)
        assert await client.everything() == before


class TestUpdate:
    async def test_absent_keeps_null_clears_value_replaces(self, client: Client) -> None:
        config = await client.create("mine", provider="openai", model="a", description="text", maxInputTokens=5)
        updated = await client.update(config, model="b", description=None)
        assert updated["__typename"] == "UpdateModelConfigPayload"
        assert updated["droppedCredentials"] is False
        after = updated["modelConfig"]
        assert (after["provider"], after["model"], after["description"]) == ("openai", "b", None)
        assert (after["maxInputTokens"], after["version"]) == (5, 2)
        assert after["revision"] != config["revision"]
        assert await client.find(id=config["id"]) == after

    async def test_what_changes_nothing_makes_no_version(self, client: Client) -> None:
        config = await client.create("mine", provider="openai", params={"n": 1})
        revision = await client.store.revision()
        same = await client.update(config, provider="openai", params={"n": 1}, auth=None)
        assert same["modelConfig"] == config
        assert await client.store.revision() == revision
        changed = await client.update(config, params={"n": True})
        assert changed["modelConfig"]["params"] == {"n": True}
        assert changed["modelConfig"]["version"] == 2

    async def test_a_credential_given_as_a_value_is_always_a_change(self, client: Client) -> None:
        auth = {"apiKey": {"apiKey": "sk-the-same-value-again"}}
        config = await client.create("mine", provider="openai", auth=auth)
        assert (await client.update(config, auth=auth))["modelConfig"]["version"] == 2

    async def test_a_wrong_version_is_a_conflict_with_the_current_config(self, client: Client) -> None:
        config = await client.create("mine")
        current = (await client.update(config, description="first"))["modelConfig"]
        before = await client.everything()
        refused = await client.update(config, description="second")
        assert refused["__typename"] == "VersionConflict"
        assert refused["path"] == ["input", "expectedVersion"]
        assert refused["current"] == current
        assert await client.everything() == before

    async def test_of_several_writers_with_one_version_one_wins(self, client: Client) -> None:
        config = await client.create("mine")
        answers = await asyncio.gather(*(client.update(config, description=str(n)) for n in range(10)))
        kinds = sorted(answer["__typename"] for answer in answers)
        assert kinds == ["UpdateModelConfigPayload"] + ["VersionConflict"] * 9

    async def test_unknown_id(self, client: Client) -> None:
        refused = await client.mutate(UPDATE, id="none", expectedVersion=1, description="x")
        assert (refused["__typename"], refused["path"]) == ("NotFound", ["input", "id"])

    async def test_rename(self, client: Client) -> None:
        config = await client.create("old")
        renamed = (await client.update(config, alias="new"))["modelConfig"]
        assert (renamed["id"], renamed["alias"], renamed["version"]) == (config["id"], "new", 2)
        assert await client.find(alias="old") is None
        assert (await client.update(renamed, alias="general"))["__typename"] == "AliasTaken"
        assert (await client.update(renamed, alias=None))["__typename"] == "InvalidInput"
        assert (await client.find(alias="new")) == renamed

    async def test_a_default_alias_can_be_configured_but_not_renamed(self, client: Client) -> None:
        general = await client.find(alias="general")
        assert general is not None
        refused = await client.update(general, alias="other", provider="openai")
        assert (refused["__typename"], refused["path"]) == ("ProtectedDefault", ["input", "alias"])
        done = await client.update(general, alias="general", provider="openai", model="gpt-5-mini")
        assert done["modelConfig"]["configured"] is True

    async def test_validate_only(self, client: Client) -> None:
        config = await client.create("mine", provider="openai", auth={"apiKey": {"apiKey": "sk-0123456789abcdef"}})
        before = await client.everything()
        answer = await client.update(config, provider="ollama", validateOnly=True)
        assert answer == {"__typename": "UpdateModelConfigPayload", "modelConfig": None, "droppedCredentials": True}
        assert (await client.update(config, alias="general", validateOnly=True))["__typename"] == "AliasTaken"
        conflict = await client.mutate(UPDATE, id=config["id"], expectedVersion=9, validateOnly=True)
        assert conflict["__typename"] == "VersionConflict"
        assert await client.everything() == before


class TestDelete:
    async def test_delete(self, client: Client) -> None:
        config = await client.create("mine")
        deleted = await client.mutate(DELETE, id=config["id"], expectedVersion=1, force=True)
        assert deleted["__typename"] == "DeleteModelConfigPayload"
        assert (deleted["id"], deleted["alias"]) == (config["id"], "mine")
        assert deleted["revision"] == f"{client.store.id}-{await client.store.revision()}"
        assert await client.find(id=config["id"]) is None
        again = await client.mutate(DELETE, id=config["id"], expectedVersion=1)
        assert again["__typename"] == "NotFound"

    async def test_a_wrong_version_and_a_default_are_refused(self, client: Client) -> None:
        config, general = await client.create("mine"), await client.find(alias="general")
        assert general is not None
        before = await client.everything()
        conflict = await client.mutate(DELETE, id=config["id"], expectedVersion=2)
        assert (conflict["__typename"], conflict["current"]) == ("VersionConflict", config)
        protected = await client.mutate(DELETE, id=general["id"], expectedVersion=1, force=True)
        assert protected["__typename"] == "ProtectedDefault"
        assert await client.everything() == before


class TestCredentials:
    async def test_a_key_is_write_only(self, client: Client) -> None:
        key = "sk-canary-0123456789"
        config = await client.create("mine", provider="openai", model="m", auth={"apiKey": {"apiKey": key}})
        assert config["auth"] == {"__typename": "ApiKeyAuth", "apiKey": {"reference": None, "hint": "6789"}}
        assert (await client.litellm_params("mine"))["api_key"] == key

    async def test_a_reference_is_shown_and_left_to_the_component(self, client: Client) -> None:
        auth = {"apiKey": {"apiKey": "os.environ/OPENAI_API_KEY"}}
        config = await client.create("mine", provider="openai", model="m", auth=auth)
        assert config["auth"]["apiKey"] == {"reference": "os.environ/OPENAI_API_KEY", "hint": None}
        assert (await client.litellm_params("mine"))["api_key"] == "os.environ/OPENAI_API_KEY"

    async def test_every_kind_of_auth_in_litellms_names(self, client: Client) -> None:
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

    async def test_merged_field_by_field_while_they_go_to_the_same_place(self, client: Client) -> None:
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
    async def test_dropped_when_they_would_go_elsewhere(self, client: Client, change: dict[str, Any]) -> None:
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

    async def test_kept_within_the_same_origin(self, client: Client) -> None:
        auth = {"apiKey": {"apiKey": "sk-canary"}}
        base = "https://models.example/v1"
        config = await client.create("mine", provider="openai", model="m", apiBase=base, auth=auth)
        updated = await client.update(config, apiBase="https://MODELS.example:443/v2", model="m2", params={"n": 1})
        assert updated["droppedCredentials"] is False
        assert (await client.litellm_params("mine"))["api_key"] == "sk-canary"

    async def test_given_anew_they_are_not_dropped(self, client: Client) -> None:
        config = await client.create("mine", provider="openai", model="m", auth={"apiKey": {"apiKey": "old"}})
        updated = await client.update(config, provider="anthropic", auth={"apiKey": {"apiKey": "new"}})
        assert updated["droppedCredentials"] is False
        assert (await client.litellm_params("mine"))["api_key"] == "new"

    async def test_sealed_params(self, client: Client) -> None:
        params = {"temperature": 0.5, "extra_headers": {"X": "canary"}, "s3_secret_access_key": "canary-2"}
        config = await client.create("mine", provider="openai", model="m", params=params)
        assert config["params"] == {"temperature": 0.5}
        assert config["sealedParams"] == ["extra_headers", "s3_secret_access_key"]
        assert await client.litellm_params("mine") == {"model": "openai/m", **params}
        updated = (await client.update(config, params={"top_p": 1, "extra_headers": None}))["modelConfig"]
        assert (updated["params"], updated["sealedParams"]) == ({"top_p": 1}, ["s3_secret_access_key"])
        cleared = (await client.update(updated, params=None))["modelConfig"]
        assert (cleared["params"], cleared["sealedParams"]) == ({}, [])

    async def test_canaries_leave_by_litellm_params_alone(self, client: Client, client_with: As) -> None:
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
        outputs.append(await client.run(LIST))
        outputs.append([event async for event in _first(client.watch())])
        params = "{model: openai/m, api_key: canary-8, azure_password: canary-9}"
        content = f"model_list:\n- model_name: k\n  litellm_params: {params}"
        for dry_run in (True, False, False):
            outputs.append(await client.mutate(IMPORT, content=content, dryRun=dry_run))
        outputs.append(await client.mutate(IMPORT, content="model_list: [canary-10"))
        reader = client_with(Scope.MODEL_CONFIG_READ)
        with pytest.raises(Refused) as refused:
            await reader.run(RESOLVE, by={"alias": "key"})
        outputs += [str(refused.value), refused.value.data]
        assert "canary" not in json.dumps(outputs)
        assert "canary-1" in json.dumps(await client.litellm_params("key"))


async def _first(events: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(events):
        yield await anext(events)


class TestImport:
    async def test_a_real_file(self, client: Client) -> None:
        content = (DATA / "load_balancer.yaml").read_text()
        before = await client.everything()
        dry = await client.mutate(IMPORT, content=content, dryRun=True)
        assert dry["revision"] is None
        assert await client.everything() == before
        done = await client.mutate(IMPORT, content=content, format="LITELLM")
        assert done["entries"] == dry["entries"]
        assert done["ignoredSections"] == dry["ignoredSections"]
        assert done["revision"] == f"{client.store.id}-{before[0] + 1}"
        actions = [(entry["alias"], entry["action"]) for entry in done["entries"]]
        assert actions[:2] == [("gpt-3.5-turbo", "CREATE"), ("gpt-3.5-turbo", "SKIP")]
        again = await client.mutate(IMPORT, content=content)
        assert {entry["action"] for entry in again["entries"]} == {"UNCHANGED", "SKIP"}
        assert again["revision"] is None

    async def test_an_update_keeps_what_the_file_does_not_say(self, client: Client) -> None:
        auth = {"apiKey": {"apiKey": "sk-stored"}}
        await client.create(
            "mine", provider="openai", model="a", description="kept", auth=auth, params={"n": 1, "token": "kept"}
        )
        entry = "model_list: [{model_name: mine, litellm_params: {model: openai/b, temperature: 0}}]"
        result = await client.mutate(IMPORT, content=entry)
        assert result["entries"] == [{"alias": "mine", "action": "UPDATE", "reason": None, "ignored": []}]
        after = await client.find(alias="mine")
        assert after is not None
        assert (after["description"], after["params"], after["version"]) == ("kept", {"temperature": 0}, 2)
        assert (await client.litellm_params("mine")) == {
            "model": "openai/b",
            "api_key": "sk-stored",
            "temperature": 0,
            "token": "kept",
        }

    async def test_an_update_that_points_elsewhere_drops_credentials_and_says_so(self, client: Client) -> None:
        await client.create("mine", provider="openai", model="a", auth={"apiKey": {"apiKey": "sk-stored"}})
        entry = "model_list: [{model_name: mine, litellm_params: {model: openai/a, api_base: 'https://x.example'}}]"
        (result,) = (await client.mutate(IMPORT, content=entry))["entries"]
        assert result["action"] == "UPDATE"
        assert "dropped" in result["reason"]
        assert "api_key" not in await client.litellm_params("mine")

    async def test_an_entry_that_breaks_our_rules_is_skipped_with_the_reason(self, client: Client) -> None:
        content = json.dumps(
            {
                "model_list": [
                    {"model_name": "x" * 101, "litellm_params": {"model": "openai/a"}},
                    {"model_name": "bad-base", "litellm_params": {"model": "openai/a", "api_base": "nowhere"}},
                    {"model_name": "general", "litellm_params": {"model": "openai/a"}},
                ]
            }
        )
        entries = (await client.mutate(IMPORT, content=content))["entries"]
        assert [entry["action"] for entry in entries] == ["SKIP", "SKIP", "UPDATE"]
        assert "100 characters" in entries[0]["reason"]
        assert "apiBase" in entries[1]["reason"]
        assert await client.aliases() == ["general", "planning"]

    @pytest.mark.parametrize("content", ["model_list: [", "- 1", "", "model_list: {}", "x" * (1024 * 1024 + 1)])
    async def test_a_malformed_file_changes_nothing(self, client: Client, content: str) -> None:
        before = await client.everything()
        refused = await client.mutate(IMPORT, content=content)
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "content"])
        assert await client.everything() == before


class TestAccess:
    @pytest.mark.parametrize(
        ("scope", "document", "variables"),
        [
            (Scope.MODEL_CONFIG_READ, FIND, {"by": {"alias": "general"}}),
            (Scope.MODEL_CONFIG_READ, LIST, {}),
            (Scope.MODEL_CONFIG_READ, "{ node(id: 1) { id } }", {}),
            (Scope.MODEL_CONFIG_WRITE, CREATE, {"input": {"alias": "new"}}),
            (Scope.MODEL_CONFIG_WRITE, CREATE, {"input": {"alias": "new", "validateOnly": True}}),
            (Scope.MODEL_CONFIG_WRITE, UPDATE, {"input": {"id": "1", "expectedVersion": 1}}),
            (Scope.MODEL_CONFIG_WRITE, DELETE, {"input": {"id": "1", "expectedVersion": 1}}),
            (Scope.MODEL_CONFIG_WRITE, IMPORT, {"input": {"content": "model_list: []", "dryRun": True}}),
            (Scope.API_KEY_ADMIN, CREATE_KEY, {"input": {"name": "n", "scopes": ["model_config:read"]}}),
        ],
    )
    async def test_denied_without_the_scope_with_nothing_changed(
        self, client: Client, client_with: As, scope: Scope, document: str, variables: dict[str, Any]
    ) -> None:
        before = await client.everything()
        with pytest.raises(Refused, match=scope.value) as refused:
            await client_with(*(ALL_SCOPES - {scope})).run(document, **variables)
        assert refused.value.codes == ["FORBIDDEN"]
        assert await client.everything() == before

    async def test_litellm_params_alone_are_withheld_without_resolve(self, client: Client, client_with: As) -> None:
        await client.create("mine", provider="openai", model="m")
        with pytest.raises(Refused) as refused:
            await client_with(Scope.MODEL_CONFIG_READ).run(RESOLVE, by={"alias": "mine"})
        assert refused.value.codes == ["FORBIDDEN"]
        assert refused.value.paths == [["modelConfig", "litellmParams"]]
        assert refused.value.data == {"modelConfig": {"alias": "mine", "litellmParams": None}}

    async def test_a_bound_key_sees_its_aliases_only(self, client: Client, client_with: As) -> None:
        ours, theirs = await client.create("ours-1"), await client.create("theirs")
        bound = client_with(aliases=("ours-*", "general"))
        assert await bound.aliases() == ["general", "ours-1"]
        assert await bound.find(id=ours["id"]) == ours
        assert await bound.find(id=theirs["id"]) is None
        with pytest.raises(Refused, match="theirs") as refused:
            await bound.find(alias="theirs")
        assert refused.value.codes == ["FORBIDDEN"]

    async def test_a_bound_key_writes_its_aliases_only(self, client: Client, client_with: As) -> None:
        ours, theirs = await client.create("ours-1"), await client.create("theirs")
        bound = client_with(aliases=("ours-*",))
        before = await client.everything()
        denied: list[tuple[str, dict[str, Any]]] = [
            (CREATE, {"alias": "other"}),
            (UPDATE, {"id": ours["id"], "expectedVersion": 1, "alias": "theirs-too"}),
            (IMPORT, {"content": "model_list: [{model_name: theirs, litellm_params: {model: openai/m}}]"}),
        ]
        for document, given in denied:
            with pytest.raises(Refused) as refused:
                await bound.mutate(document, **given)
            assert refused.value.codes == ["FORBIDDEN"]
        for document in (UPDATE, DELETE):
            hidden = await bound.mutate(document, id=theirs["id"], expectedVersion=1)
            assert hidden["__typename"] == "NotFound"
        assert await client.everything() == before
        assert (await bound.update(ours, alias="ours-2"))["modelConfig"]["alias"] == "ours-2"

    async def test_an_unreachable_database_is_unavailable(
        self, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from modelwire.store import StoreUnavailable

        async def fail(**_: Any) -> None:
            raise StoreUnavailable("the path of the database")

        monkeypatch.setattr(client.store, "find", fail)
        with pytest.raises(Refused) as refused:
            await client.find(alias="general")
        assert refused.value.codes == ["UNAVAILABLE"]
        assert "path" not in str(refused.value)


class TestApiKeys:
    async def test_the_secret_is_shown_once_and_signs_in(self, client: Client) -> None:
        given = {"name": "orders", "scopes": ["model_config:read", "model_config:resolve"], "aliases": ["general"]}
        created = await client.mutate(CREATE_KEY, **given)
        assert created["__typename"] == "CreateApiKeyPayload"
        key = created["apiKey"]
        assert {name: key[name] for name in given} == given
        assert (key["createdBy"], key["expiresAt"]) == ("api_key:aaaaaaaaaa", None)
        assert created["secret"].startswith(f"mw_{key['id']}_")
        principal = await verify_api_key(client.store, created["secret"], datetime.now(UTC))
        assert principal.subject == f"api_key:{key['id']}"
        assert principal.scopes == {Scope.MODEL_CONFIG_READ, Scope.MODEL_CONFIG_RESOLVE}
        bound = Client(replace(client.context, principal=principal))
        assert await bound.aliases() == ["general"]

    @pytest.mark.parametrize(
        ("given", "path"),
        [
            ({"scopes": []}, "scopes"),
            ({"scopes": ["model_config:read", "all"]}, "scopes"),
            ({"name": ""}, "name"),
            ({"name": " x"}, "name"),
            ({"aliases": []}, "aliases"),
            ({"aliases": [""]}, "aliases"),
            ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
            ({"expiresAt": "2090-01-01T00:00:00"}, "expiresAt"),
        ],
    )
    async def test_bad_input(self, client: Client, given: dict[str, Any], path: str) -> None:
        refused = await client.mutate(CREATE_KEY, **({"name": "n", "scopes": ["model_config:read"]} | given))
        assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", path])
        if path == "scopes":
            assert "api_key:admin" in refused["message"]
        assert await client.store.api_keys.any() is False

    async def test_nobody_grants_what_they_do_not_have(self, client_with: As) -> None:
        maker = client_with(Scope.API_KEY_ADMIN, Scope.MODEL_CONFIG_READ, aliases=("team-*",))
        for given in (
            {"scopes": ["model_config:write"], "aliases": ["team-a"]},
            {"scopes": ["model_config:read"]},
            {"scopes": ["model_config:read"], "aliases": ["general"]},
            {"scopes": ["model_config:read"], "aliases": ["team-a", "*"]},
        ):
            with pytest.raises(Refused) as refused:
                await maker.mutate(CREATE_KEY, name="n", **given)
            assert refused.value.codes == ["FORBIDDEN"]
        assert await maker.store.api_keys.any() is False
        granted = await maker.mutate(CREATE_KEY, name="n", scopes=["model_config:read"], aliases=["team-a", "team-b*"])
        assert granted["__typename"] == "CreateApiKeyPayload"


class TestWatching:
    async def test_snapshot_then_changes(self, client: Client) -> None:
        async with aclosing(client.watch(by=[{"alias": "mine"}])) as events:
            first = await anext(events)
            assert (first["__typename"], first["reset"], first["modelConfigs"]) == ("ModelConfigSnapshot", False, [])
            config = await client.create("mine", provider="openai")
            await client.create("other")
            put = await anext(events)
            assert (put["__typename"], put["put"], put["removed"]) == ("ModelConfigChange", [config], [])
            assert put["revision"] == config["revision"]
            updated = (await client.update(config, model="m"))["modelConfig"]
            assert (await anext(events))["put"] == [updated]
            deleted = await client.mutate(DELETE, id=config["id"], expectedVersion=2)
            gone = await anext(events)
            assert gone["removed"] == [{"id": config["id"], "alias": "mine"}]
            assert (gone["put"], gone["revision"]) == ([], deleted["revision"])

    @pytest.mark.parametrize("by", [None, []])
    async def test_without_names_it_sees_all(self, client: Client, by: list[Any] | None) -> None:
        async with aclosing(client.watch(by=by)) as events:
            first = await anext(events)
            assert [config["alias"] for config in first["modelConfigs"]] == ["general", "planning"]

    async def test_an_import_is_one_event(self, client: Client) -> None:
        names = "".join(f"\n- {{model_name: {name}, litellm_params: {{model: openai/x}}}}" for name in "ab")
        async with aclosing(client.watch()) as events:
            await anext(events)
            result = await client.mutate(IMPORT, content=f"model_list:{names}")
            event = await anext(events)
            assert sorted(config["alias"] for config in event["put"]) == ["a", "b"]
            assert event["revision"] == result["revision"]

    async def test_a_rename_is_a_removal_for_the_old_name_and_a_put_for_the_new(self, client: Client) -> None:
        config = await client.create("old")
        old, new, both, by_id = (
            client.watch(by=by)
            for by in (
                [{"alias": "old"}],
                [{"alias": "new"}],
                [{"alias": "old"}, {"alias": "new"}],
                [{"id": config["id"]}],
            )
        )
        async with aclosing(old), aclosing(new), aclosing(both), aclosing(by_id):
            for events in (old, new, both, by_id):
                await anext(events)
            renamed = (await client.update(config, alias="new"))["modelConfig"]
            left = await anext(old)
            assert (left["put"], left["removed"]) == ([], [{"id": config["id"], "alias": "old"}])
            for events in (new, both, by_id):
                entered = await anext(events)
                assert entered["put"] == [renamed]

    async def test_a_quiet_watch_is_told_where_it_stands(self, store: Store, client: Client) -> None:
        feed = Feed(store, bookmark_seconds=0.01)
        await feed.start()
        quiet = Client(replace(client.context, feed=feed))
        async with aclosing(quiet.watch(by=[{"alias": "mine"}])) as events:
            first = await anext(events)
            bookmark = await anext(events)
        await feed.stop()
        assert bookmark == {"__typename": "Bookmark", "revision": first["revision"]}

    async def test_since_resumes_with_the_difference_or_a_bookmark(self, client: Client) -> None:
        config = await client.create("mine")
        async with aclosing(client.watch(by=[{"alias": "mine"}])) as events:
            position = (await anext(events))["revision"]
        async with aclosing(client.watch(by=[{"alias": "mine"}], since=position)) as events:
            assert await anext(events) == {"__typename": "Bookmark", "revision": position}
        updated = (await client.update(config, description="1"))["modelConfig"]
        updated = (await client.update(updated, description="2"))["modelConfig"]
        async with aclosing(client.watch(by=[{"alias": "mine"}], since=position)) as events:
            change = await anext(events)
        assert (change["__typename"], change["put"]) == ("ModelConfigChange", [updated])

    @pytest.mark.parametrize("since", ["otherstore-1", "{id}-999999"])
    async def test_a_position_of_elsewhere_or_the_future_is_reset(self, client: Client, since: str) -> None:
        async with aclosing(client.watch(since=since.format(id=client.store.id))) as events:
            first = await anext(events)
        assert (first["__typename"], first["reset"]) == ("ModelConfigSnapshot", True)
        assert len(first["modelConfigs"]) == 2

    @pytest.mark.parametrize("since", ["", "1", "x-01", f"x-{2**63}", "X-1"])
    async def test_a_malformed_since_is_refused_at_once(self, client: Client, since: str) -> None:
        with pytest.raises(Refused) as refused:
            await anext(client.watch(since=since))
        assert refused.value.codes == ["BAD_USER_INPUT"]

    async def test_a_bound_key_watches_its_aliases_only(self, client: Client, client_with: As) -> None:
        bound = client_with(Scope.MODEL_CONFIG_READ, aliases=("mine",))
        with pytest.raises(Refused, match="general") as refused:
            await anext(bound.watch(by=[{"alias": "general"}]))
        assert refused.value.codes == ["FORBIDDEN"]
        async with aclosing(bound.watch()) as events:
            assert (await anext(events))["modelConfigs"] == []
            await client.create("other")
            config = await client.create("mine")
            assert (await anext(events))["put"] == [config]
            await client.update(config, alias="renamed")
            assert (await anext(events))["removed"] == [{"id": config["id"], "alias": "mine"}]

    async def test_without_the_scope(self, client_with: As) -> None:
        with pytest.raises(Refused) as refused:
            await anext(client_with(Scope.MODEL_CONFIG_WRITE).watch())
        assert refused.value.codes == ["FORBIDDEN"]

    async def test_nothing_is_delivered_after_expiry(self, client: Client, client_with: As) -> None:
        past = datetime.now(UTC) - timedelta(seconds=1)
        with pytest.raises(Refused) as refused:
            await anext(client_with(expires_at=past).watch())
        assert refused.value.codes == ["UNAUTHENTICATED"]

    async def test_litellm_params_of_events_need_the_scope_too(self, client: Client, client_with: As) -> None:
        await client.create("mine", provider="openai", model="m")
        fields = "... on ModelConfigSnapshot { modelConfigs { alias litellmParams } }"
        document = f"subscription {{ modelConfigChanged {{ {fields} }} }}"
        reader = client_with(Scope.MODEL_CONFIG_READ)
        results: Any = await schema.subscribe(document, context_value=reader.context)
        async with aclosing(results):
            result = await anext(results)
        configs = result.data["modelConfigChanged"]["modelConfigs"]
        assert [config["alias"] for config in configs] == ["general", "mine", "planning"]
        assert {config["litellmParams"] for config in configs} == {None}
        assert {error.original_error.code for error in result.errors} == {"FORBIDDEN"}
