"""Who changes configs, through whatever the network does, and notes what was answered."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from guarantees.history import History, Mutation, Written, position

ALIASES = [f"alias-{letter}" for letter in "abcdefghij"]
KEPT = "alias-kept"
"""Never deleted or renamed, so that a watch by its id always has something to see."""

_FIELDS = "id alias version revision"
DOCUMENTS = {
    "create": f"""mutation ($input: CreateModelConfigInput!) {{ createModelConfig(input: $input) {{
      __typename ... on CreateModelConfigPayload {{ modelConfig {{ {_FIELDS} }} }} }} }}""",
    "update": f"""mutation ($input: UpdateModelConfigInput!) {{ updateModelConfig(input: $input) {{
      __typename ... on UpdateModelConfigPayload {{ modelConfig {{ {_FIELDS} }} }} }} }}""",
    "delete": """mutation ($input: DeleteModelConfigInput!) { deleteModelConfig(input: $input) {
      __typename ... on DeleteModelConfigPayload { id revision } } }""",
    "import": """mutation ($input: ImportModelConfigsInput!) { importModelConfigs(input: $input) {
      __typename ... on ImportModelConfigsPayload { revision } } }""",
}
LIST = f"{{ modelConfigs(first: 100) {{ edges {{ node {{ {_FIELDS} }} }} }} }}"


@dataclass(frozen=True)
class Known:
    """What a writer last saw of a config."""

    id: str
    version: int


def content(number: int, filling: str = "") -> dict[str, Any]:
    """All fields of a config whose value is this number. `filling` makes it as long as one likes."""
    return {
        "provider": "openai",
        "model": f"m-{number}",
        "description": f"d-{number}",
        "maxInputTokens": number,
        "params": {"seed": number, **({"user": filling} if filling else {})},
    }


class Writer:
    """One mutation at a time. `base_url` is that of a server, or of a line in front of it.

    `numbers` is what the configs' values are made of, for all writers of a run: each number is written once.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        history: History,
        numbers: Iterator[int],
        *,
        seed: str,
        pause_seconds: float = 0.0,
    ) -> None:
        self._numbers = numbers
        self._history = history
        self._rng = random.Random(seed)
        self._pause_seconds = pause_seconds
        self._known: dict[str, Known] = {}
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=5,
            # As the subscriber: it trusts whom SSL_CERT_FILE names.
            verify=ssl.create_default_context() if base_url.startswith("https:") else False,
        )
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.idle = asyncio.Event()

    async def close(self) -> None:
        await self._http.aclose()

    async def run(self) -> None:
        """Write until cancelled; while not `allowed` it waits, and is `idle` then."""
        while True:
            if not self.allowed.is_set():
                self.idle.set()
                await self.allowed.wait()
                self.idle.clear()
                self._known = {}
            await self.step()
            await asyncio.sleep(self._rng.uniform(0, 2 * self._pause_seconds))

    async def step(self, mutation: tuple[str, dict[str, Any], list[Written]] | None = None) -> bool:
        """Make this mutation or, without one, any, whatever becomes of it. Whether it was answered."""
        if mutation is None and not self._known and not await self._look():
            return False
        kind, input_, writes = mutation or self._next()
        noted = Mutation(kind, writes, time.time())
        self._history.mutations.append(noted)
        answer = await self._ask(DOCUMENTS["update" if kind == "rename" else kind], input_)
        if answer is not None and answer["__typename"].endswith("Payload"):
            self._note(noted, answer)
            return True
        if answer is not None:
            noted.outcome = "refused"
        # What there is now is not known.
        self._known = {}
        return False

    async def write(self, alias: str, *, filling: str = "") -> Known:
        """Create or update the config of this alias, until it is answered."""
        async with asyncio.timeout(120):
            while True:
                if await self._look():
                    number, known = next(self._numbers), self._known.get(alias)
                    given = {"id": known.id, "expectedVersion": known.version} if known else {"alias": alias}
                    written = [Written(alias, str(number))]
                    if await self.step(
                        ("update" if known else "create", {**given, **content(number, filling)}, written)
                    ):
                        return self._known[alias]
                await asyncio.sleep(0.05)

    def _note(self, mutation: Mutation, answer: dict[str, Any]) -> None:
        mutation.outcome = "answered"
        config = answer.get("modelConfig") or {}
        mutation.store, mutation.revision = position(config.get("revision") or answer["revision"])
        if config:
            (written,) = mutation.writes
            mutation.writes = [Written(config["alias"], written.value, config["id"], config["version"])]
            self._known = {alias: known for alias, known in self._known.items() if known.id != config["id"]}
            self._known[config["alias"]] = Known(config["id"], config["version"])
        else:
            self._known = {}

    def _next(self) -> tuple[str, dict[str, Any], list[Written]]:
        """(kind, input, what it writes) of the next mutation."""
        alias = self._rng.choice(ALIASES)
        known = self._known.get(alias)
        number = next(self._numbers)
        value = str(number)
        die = self._rng.random()
        if die < 0.1:
            chosen = self._rng.sample(ALIASES, self._rng.randint(2, 4))
            return (
                "import",
                {"content": _file(chosen, values := [next(self._numbers) for _ in chosen])},
                [Written(each, str(value)) for each, value in zip(chosen, values, strict=True)],
            )
        if die < 0.25:
            alias, known = KEPT, self._known.get(KEPT)
        if known is None:
            return "create", {"alias": alias, **content(number)}, [Written(alias, value)]
        given = {"id": known.id, "expectedVersion": known.version}
        if alias != KEPT and die > 0.93:
            return "delete", {**given, "force": True}, [Written(None, None, known.id, known.version + 1)]
        if alias != KEPT and die > 0.83:
            other = self._rng.choice(ALIASES)
            return "rename", {**given, "alias": other, **content(number)}, [Written(other, value)]
        return "update", {**given, **content(number)}, [Written(alias, value)]

    async def _look(self) -> bool:
        connection = await self._ask(LIST, None)
        if connection is None:
            return False
        nodes: Iterator[dict[str, Any]] = (edge["node"] for edge in connection["edges"])
        self._known = {node["alias"]: Known(node["id"], node["version"]) for node in nodes}
        return True

    async def _ask(self, query: str, input_: dict[str, Any] | None) -> dict[str, Any] | None:
        """What the only field is answered with; None when it is not known what became of it."""
        body = {"query": query, "variables": {} if input_ is None else {"input": input_}}
        try:
            answer = (await self._http.post("/graphql", json=body)).json()
        except (httpx.HTTPError, httpx.StreamError, OSError, ValueError):  # OSError: what is garbled within TLS
            return None
        if not isinstance(answer, dict):
            return None
        if any((error.get("extensions") or {}).get("code") == "INTERNAL" for error in answer.get("errors") or ()):
            raise AssertionError(f"the server has a bug: {answer}")
        result: dict[str, Any] | None = next(iter((answer.get("data") or {}).values()), None)
        return result


def _file(aliases: list[str], values: list[int]) -> str:
    configs = {
        alias: {
            "provider": "openai",
            "model": f"m-{value}",
            "description": f"d-{value}",
            "max_input_tokens": value,
            "params": {"seed": value},
        }
        for alias, value in zip(aliases, values, strict=True)
    }
    return json.dumps({"modelwire": 1, "model_configs": configs})
