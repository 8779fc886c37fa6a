"""API keys of a run: who has which, and when each of them ended."""

from __future__ import annotations

import asyncio
import itertools
import time
from datetime import datetime
from typing import Any

import httpx
from guarantees.history import Credential, History
from guarantees.recorders import Shown

CREATE = """mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) {
  ... on CreateApiKeyPayload { secret apiKey { id } } ... on UserError { message } } }"""
REVOKE = """mutation ($input: RevokeApiKeyInput!) { revokeApiKey(input: $input) {
  __typename ... on UserError { message } } }"""

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
  ... on SignInPayload { accessToken viewer { tokenExpiresAt } } ... on UserError { message } } }"""


class Admin:
    """Asks the servers directly, one after the other, until one of them answers."""

    def __init__(self, urls: list[str], token: str) -> None:
        self._urls = itertools.cycle(urls)
        self._http = httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=20)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, query: str, input_: dict[str, Any]) -> dict[str, Any]:
        """What the only field is answered with. Asks again for as long as there is no answer."""
        body = {"query": query, "variables": {"input": input_}}
        async with asyncio.timeout(120):
            while True:
                try:
                    answer = (await self._http.post(f"{next(self._urls)}/graphql", json=body)).json()
                except httpx.HTTPError:
                    answer = {}
                result = next(iter((answer.get("data") or {}).values()), None)
                if isinstance(result, dict):
                    return result
                await asyncio.sleep(0.05)


class Key:
    """What one watcher comes with: an API key that is replaced when it was revoked. `visible` None: all aliases."""

    def __init__(self, admin: Admin, history: History, name: str, visible: list[str] | None) -> None:
        self._admin = admin
        self._history = history
        self._name = name
        self._visible = visible
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._current: tuple[str, str, str] | None = None

    async def get(self) -> Shown:
        """The one that is good now."""
        async with self._lock:
            if self._current is None:
                name = f"{self._name} {next(self._numbers)}"
                scopes = ["model_config:read", "model_config:resolve", "component:report"]
                input_ = {"name": name, "scopes": scopes, "aliases": self._visible}
                made = await self._admin.ask(CREATE, input_)
                self._history.credentials[name] = Credential(name)
                self._current = (name, made["secret"], made["apiKey"]["id"])
            return (*self._current[:2], None)

    async def revoke(self) -> None:
        """Take it from whoever has it. Its end is the moment of the answer."""
        async with self._lock:
            if self._current is not None:
                name, _, id_ = self._current
                await self._admin.ask(REVOKE, {"id": id_})
                self._history.credentials[name].ended_at = time.time()
                self._current = None

    def forget(self) -> None:
        """The store from before a backup knows nothing of it: take another one, and expect nothing of the old."""
        self._current = None
        for name, credential in self._history.credentials.items():
            if name.startswith(f"{self._name} "):
                credential.ended_at = None


class Session:
    """Access tokens that are good for seconds, each for as long as it says. With `renews` the next one is shown before
    the last one ends.
    """

    def __init__(self, admin: Admin, history: History, name: str, api_key: str, *, renews: bool) -> None:
        self._admin = admin
        self._history = history
        self._name = name
        self._api_key = api_key
        self._renews = renews
        self._numbers = itertools.count(1)

    async def get(self) -> Shown:
        """A new one."""
        made = await self._admin.ask(SIGN_IN, {"apiKey": self._api_key})
        name, now = f"{self._name} {next(self._numbers)}", time.time()
        ends_at = datetime.fromisoformat(made["viewer"]["tokenExpiresAt"]).timestamp()
        self._history.credentials[name] = Credential(name, ends_at)
        return name, made["accessToken"], now + (ends_at - now) * 0.6 if self._renews else None
