"""The GraphQL operations of the demo, as a user would write them."""

from __future__ import annotations

import asyncio
from typing import Any

from ..client import GraphQLClient
from ..errors import CommandError
from .processes import DemoError

MODEL_CONFIG = """
query ModelConfig($alias: String!) {
  modelConfig(by: {alias: $alias}) { id alias version configured }
}
"""

UPDATE_MODEL_CONFIG = """
mutation Update($input: UpdateModelConfigInput!) {
  updateModelConfig(input: $input) {
    __typename
    ... on UpdateModelConfigPayload { modelConfig { id alias litellmModel version updatedAt } }
    ... on UserError { message }
  }
}
"""

CREATE_API_KEY = """
mutation CreateApiKey($input: CreateApiKeyInput!) {
  createApiKey(input: $input) {
    __typename
    ... on CreateApiKeyPayload { secret }
    ... on UserError { message }
  }
}
"""


class Api:
    """The server's public API, asked with the administrator key. Raises DemoError for every answer but a payload."""

    def __init__(self, client: GraphQLClient) -> None:
        self._client = client

    async def query(self, document: str, **variables: Any) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(self._client.execute, document, variables)
        except CommandError as error:
            raise DemoError(f"the API refused an operation: {error}") from error

    async def mutate(self, document: str, **values: Any) -> dict[str, Any]:
        """The payload of the one mutation in `document`, whose input is `values`."""
        data = await self.query(document, input=values)
        [(field, result)] = data.items()
        if not result.pop("__typename").endswith("Payload"):
            raise DemoError(f"{field} was refused: {result['message']}")
        payload: dict[str, Any] = result
        return payload

    async def configure(self, alias: str, **values: Any) -> dict[str, Any]:
        """Update the config with this alias from the version it has now; the config after it."""
        config = (await self.query(MODEL_CONFIG, alias=alias))["modelConfig"]
        if config is None:
            raise DemoError(f"there is no model config with the alias {alias!r}")
        payload = await self.mutate(UPDATE_MODEL_CONFIG, id=config["id"], expectedVersion=config["version"], **values)
        updated: dict[str, Any] = payload["modelConfig"]
        return updated
