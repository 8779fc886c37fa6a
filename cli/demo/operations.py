"""What the demo asks of the API: the operations of the commands."""

from __future__ import annotations

import asyncio
from typing import Any

from ..client import GraphQLClient
from ..errors import CommandError
from ..model_configs import FIND
from ..set_command import UPDATE
from .processes import DemoError


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
        config = (await self.query(FIND, alias=alias))["modelConfig"]
        if config is None:
            raise DemoError(f"there is no model config with the alias {alias!r}")
        payload = await self.mutate(UPDATE, id=config["id"], expectedVersion=config["version"], **values)
        updated: dict[str, Any] = payload["modelConfig"]
        return updated
