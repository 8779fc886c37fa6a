"""The API against a real store: GraphQL documents in, results out. HTTP and websockets are tested beside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from modelwire.resolvers.access import ALL_SCOPES, Context, Principal, Scope
from modelwire.resolvers.errors import RequestError
from modelwire.schema import schema
from modelwire.store import AliasPatterns, Feed, Keyring, Store, migrate, open_store

WAIT_SECONDS = 120.0

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
_CREATE = f"""
mutation ($input: CreateModelConfigInput!) {{
  createModelConfig(input: $input) {{
    __typename ... on CreateModelConfigPayload {{ modelConfig {{ ...Config }} }} {ERROR}
  }}
}} {CONFIG}"""
_UPDATE = f"""
mutation ($input: UpdateModelConfigInput!) {{
  updateModelConfig(input: $input) {{
    __typename ... on UpdateModelConfigPayload {{ modelConfig {{ ...Config }} droppedCredentials }}
    {ERROR} ... on VersionConflict {{ current {{ ...Config }} }}
  }}
}} {CONFIG}"""
_DELETE = f"""
mutation ($input: DeleteModelConfigInput!) {{
  deleteModelConfig(input: $input) {{
    __typename ... on DeleteModelConfigPayload {{ id alias revision }} {ERROR}
    ... on VersionConflict {{ current {{ ...Config }} }}
  }}
}} {CONFIG}"""
_IMPORT = f"""
mutation ($input: ImportModelConfigsInput!) {{
  importModelConfigs(input: $input) {{
    __typename
    ... on ImportModelConfigsPayload {{ entries {{ alias action reason ignored }} ignoredSections revision }} {ERROR}
  }}
}}"""
_CREATE_KEY = f"""
mutation ($input: CreateApiKeyInput!) {{
  createApiKey(input: $input) {{
    __typename
    ... on CreateApiKeyPayload {{
      secret apiKey {{ id name scopes aliases createdAt createdBy expiresAt }}
    }} {ERROR}
  }}
}}"""
_FIND = f"query ($by: ModelConfigRef!) {{ modelConfig(by: $by) {{ ...Config }} }} {CONFIG}"
_RESOLVE = "query ($by: ModelConfigRef!) { modelConfig(by: $by) { alias litellmParams } }"
_LIST = f"""
query ($first: Int, $after: String, $filter: ModelConfigFilter, $orderBy: ModelConfigOrder) {{
  modelConfigs(first: $first, after: $after, filter: $filter, orderBy: $orderBy) {{
    edges {{ cursor node {{ ...Config }} }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }}
  }}
}} {CONFIG}"""
_WATCH = f"""
subscription ($by: [ModelConfigRef!], $since: Revision) {{
  modelConfigChanged(by: $by, since: $since) {{
    __typename revision
    ... on ModelConfigSnapshot {{ reset modelConfigs {{ ...Config }} }}
    ... on ModelConfigChange {{ put {{ ...Config }} removed {{ id alias }} }}
  }}
}} {CONFIG}"""


DOCUMENTS = {
    "create": _CREATE,
    "update": _UPDATE,
    "delete": _DELETE,
    "import": _IMPORT,
    "create key": _CREATE_KEY,
    "find": _FIND,
    "resolve": _RESOLVE,
    "list": _LIST,
    "watch": _WATCH,
}


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

    @contextmanager
    def refused(self, *codes: str, match: str | None = None) -> Iterator[pytest.ExceptionInfo[Refused]]:
        """Expect errors in place of an answer, with these codes."""
        with pytest.raises(Refused, match=match) as refused:
            yield refused
        assert refused.value.codes == list(codes)

    def having(self, **fields: Any) -> Client:
        """The same with other parts of the context."""
        return Client(replace(self.context, **fields))

    async def run(self, document: str, **variables: Any) -> dict[str, Any]:
        """`document` is one of DOCUMENTS by its name, or a text."""
        document = DOCUMENTS.get(document, document)
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
        created = await self.mutate("create", alias=alias, **given)
        assert created["__typename"] == "CreateModelConfigPayload", created
        config = created["modelConfig"]
        assert isinstance(config, dict)
        return config

    async def update(self, config: dict[str, Any], **given: Any) -> dict[str, Any]:
        return await self.mutate("update", id=config["id"], expectedVersion=config["version"], **given)

    async def find(self, **by: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await self.run("find", by=by))["modelConfig"]
        return found

    async def litellm_params(self, alias: str) -> dict[str, Any]:
        params = (await self.run("resolve", by={"alias": alias}))["modelConfig"]["litellmParams"]
        assert isinstance(params, dict)
        return params

    async def aliases(self, **arguments: Any) -> list[str]:
        edges = (await self.run("list", **arguments))["modelConfigs"]["edges"]
        return [edge["node"]["alias"] for edge in edges]

    async def everything(self) -> list[Any]:
        """All that could have changed: for "nothing changed"."""
        return [await self.store.revision(), (await self.run("list", first=100))["modelConfigs"]["edges"]]

    async def watch(self, **variables: Any) -> AsyncGenerator[dict[str, Any], None]:
        results = await schema.subscribe(_WATCH, variable_values=variables, context_value=self.context)
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
    store.on_commit(feed.committed)
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
