"""Random values: of the type that an input wants, or of another."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    get_named_type,
    get_nullable_type,
    is_required_input_field,
)

CANARY = "canary-7f3e9a"
"""In every secret that is sent; no answer and no log may hold it."""


class EnumValue(str):
    """A name: written without quotes in a document."""

    __slots__ = ()


@dataclass
class Knowledge:
    """What the answers told: later requests name it, so that they meet what is there."""

    ids: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)

    _FORMS = (
        ("ids", re.compile(r"[0-9a-f]{20}")),
        ("revisions", re.compile(r"[0-9a-z]{1,32}-[0-9]{1,19}")),
        ("cursors", re.compile(r"Wy[A-Za-z0-9_-]{10,}")),
    )

    def learn(self, value: Any) -> None:
        """Keep all in an answer that looks like an id, a cursor or a revision; the latest hundred of each."""
        if isinstance(value, Mapping):
            for item in value.values():
                self.learn(item)
        elif isinstance(value, list):
            for item in value:
                self.learn(item)
        elif isinstance(value, str):
            for name, form in self._FORMS:
                if form.fullmatch(value):
                    known: list[str] = getattr(self, name)
                    known.append(value)
                    del known[:-100]


STRINGS = (
    "",
    " ",
    "a",
    "general",
    "\0",
    "a\0b",
    "\n\t\r",
    "\u0001",
    "ünï",
    "\u202e\u200b",
    "\U0001f600",
    "\ufeff",
    "\uffff",
    "'; DROP TABLE model_configs; --",
    "%_*",
    '"""',
    "\\",
    "${HOME}",
    "os.environ/HOME",
    "os.environ/",
    "null",
    "x" * 100,
    "x" * 101,
    "é" * 3000,
    "http://127.0.0.1/v1",
    "https://fuzz.invalid:99999/",
    "http://[::1",
    "2090-01-01T00:00:00Z",
    "2020-13-45",
    "9223372036854775808",
)
# Few, so that they meet: the store stays small, and aliases are taken, renamed, deleted.
ALIASES = ("general", "planning", *(f"fuzz/{n}" for n in range(12)), "ünï", "\U0001f600", "%_", "'", "a" * 100)
INTS = (0, 1, 2, 3, 50, 100, 101, -1, 2**31 - 1, -(2**31))
WRONG_INTS = (2**31, 2**53, 2**63, -(2**63) - 1, 10**40)
FLOATS = (0.0, -0.0, 0.5, 1e308, 5e-324, -1.5, 1e22)
PARAM_NAMES = ("temperature", "extra_headers", "stop", "api_key", "model", "max_tokens", "x", "", "a b", "\0", "ü")
FILES = (
    "",
    "model_list: []",
    "model_list:\n- model_name: fuzz/1\n  litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY}",
    "model_list:\n- model_name: fuzz/2\n  litellm_params: {model: ollama/x, api_base: 'http://127.0.0.1:1', rpm: 1}",
    "model_list:\n- model_name: fuzz/2\n- model_name: '*'\n  litellm_params: {model: '*'}\nrouter_settings: {}",
    "shared_config:\n- models:\n    general: &general\n      model: ${NAME, openai/gpt-4o}\n      api_key: ${KEY}",
    "modelwire: 1\nmodel_configs:\n  fuzz/3: {provider: openai, model: gpt-4o, params: {seed: 1}}",
    """modelwire: 1
model_configs:
  general: {description: all, provider: openai, model: gpt-4o, auth: {type: api_key, api_key: os.environ/KEY}}
  fuzz/4: {provider: azure, auth: {type: api_key, sealed: [api_key]}, sealed_params: [extra_headers]}
""",
    "a: &a [*a]",
    "- " * 300,
    "{" * 300,
    "\0",
    "model_list: 5",
    "? [a]\n: b",
    "!!python/object/apply:os.system [id]",
)


SECRETS = ("apiKey", "clientSecret", "secretAccessKey", "sessionToken", "accessKeyId", "credentialsJson")
LIKELY = {"auth": 0.6, **dict.fromkeys(SECRETS, 0.8)}
"""How probable it is that an object has these fields, other than the rest."""


class Values:
    """Makes values. Every choice is the generator's `random`, so that a seed gives the same ones."""

    def __init__(self, rng: random.Random, knowledge: Knowledge) -> None:
        self._rng = rng
        self._knowledge = knowledge
        self._scalars: dict[str, Callable[[str], Any]] = {
            "Int": self._int,
            "Float": lambda _: rng.choice(FLOATS),
            "Boolean": lambda _: rng.random() < 0.5,
            "String": self._string,
            "ID": lambda _: self._known(self._knowledge.ids),
            "JSON": lambda name: self.json(3, name),
            "Revision": lambda _: self._known(self._knowledge.revisions),
            "DateTime": lambda _: rng.choice(("2090-01-01T00:00:00Z", "2020-01-01T00:00:00+02:00", "2090-01-01")),
        }

    def right(self, type_: GraphQLInputType, name: str = "", depth: int = 0) -> Any:
        """A value that fits the type. `name` is that of the argument or field that it is for."""
        rng = self._rng
        if isinstance(type_, GraphQLNonNull):
            return self._of_nullable(type_.of_type, name, depth)
        return None if rng.random() < 0.1 else self._of_nullable(type_, name, depth)

    def wrong(self, type_: GraphQLInputType, name: str = "") -> Any:
        """A value that hardly fits: of any type at all, or right but for one key."""
        rng = self._rng
        value = self.right(GraphQLNonNull(get_nullable_type(type_)), name) if rng.random() < 0.6 else None
        if isinstance(value, list) and value:
            value = rng.choice((value[0], [*value, self._anything()]))
        if isinstance(value, dict):
            return self._with_one_key_wrong(value, get_named_type(type_))
        return self._anything()

    def _with_one_key_wrong(self, value: dict[str, Any], type_: GraphQLNamedType) -> dict[str, Any]:
        rng = self._rng
        known = sorted(type_.fields) if isinstance(type_, GraphQLInputObjectType) else ["a"]
        key = rng.choice((*value, *known))
        match rng.randrange(5):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {**value, key: None}
            case 2:
                return {**value, f"{key}s": 1}
            case 3 if isinstance(value.get(key), dict) and isinstance(type_, GraphQLInputObjectType):
                return {**value, key: self._with_one_key_wrong(value[key], get_named_type(type_.fields[key].type))}
            case _:
                return {**value, key: self._anything()}

    def _anything(self) -> Any:
        rng = self._rng
        return rng.choice(
            (
                None,
                True,
                rng.choice(WRONG_INTS),
                rng.choice(FLOATS),
                rng.choice(STRINGS),
                [],
                [[None]],
                {},
                {"a": {"b": [1]}},
                EnumValue("ALIAS"),
                EnumValue("NO_SUCH_VALUE"),
            )
        )

    def json(self, depth: int, name: str = "") -> Any:
        rng = self._rng
        if name == "params" and rng.random() < 0.5:
            names = rng.sample(("temperature", "seed", "stop", "extra_headers", "max_tokens"), rng.randrange(4))
            secret = rng.choice(({"x": f"sk-{CANARY}-0123"}, None))
            return {
                key: secret if key == "extra_headers" else rng.choice((1, 0.5, None, "os.environ/X")) for key in names
            }
        kind = rng.randrange(8)
        if kind == 0 and depth:
            return [self.json(depth - 1) for _ in range(rng.randrange(4))]
        if (kind < 6 and depth and name in {"params", "variables"}) or (kind == 1 and depth):
            return {self._key(): self.json(depth - 1) for _ in range(rng.randrange(4))}
        return rng.choice((None, True, rng.choice(INTS), rng.choice(WRONG_INTS), rng.choice(FLOATS), self._string("")))

    def _key(self) -> str:
        return self._rng.choice((*PARAM_NAMES, *STRINGS[:12]))

    def _of_nullable(self, type_: GraphQLInputType, name: str, depth: int) -> Any:
        rng = self._rng
        if isinstance(type_, GraphQLList):
            if rng.random() < 0.1:
                return self.right(GraphQLNonNull(get_named_type(type_)), name, depth)
            return [self.right(type_.of_type, name, depth) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        if isinstance(type_, GraphQLEnumType):
            return EnumValue(rng.choice(sorted(type_.values)))
        if isinstance(type_, GraphQLInputObjectType):
            return self._object(type_, depth)
        return self._scalars[type_.name](name)

    def _object(self, type_: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        if type_.is_one_of:
            name = self._rng.choice(sorted(type_.fields))
            return {name: self.right(GraphQLNonNull(type_.fields[name].type), name, depth + 1)}
        return {
            name: self.right(given.type, name, depth + 1)
            for name, given in type_.fields.items()
            if is_required_input_field(given) or self._rng.random() < LIKELY.get(name, 0.35)
        }

    def _int(self, name: str) -> int:
        rng = self._rng
        if name == "expectedVersion" and rng.random() < 0.6:
            return 1
        return rng.choice((rng.choice(INTS), rng.randrange(1, 5), 1))

    def _string(self, name: str) -> str:
        rng = self._rng
        if name in {"alias", "aliases"}:
            return rng.choice(ALIASES) if rng.random() < 0.9 else rng.choice(STRINGS)
        if name in SECRETS:
            return f'{{"private_key": "{CANARY}"}}' if name == "credentialsJson" else f"sk-{CANARY}-0123456789"
        pools = {
            "after": self._knowledge.cursors,
            "content": FILES,
            "description": ("", "A text.", "zwei\nZeilen"),
            "provider": ("openai", "ollama", "azure", "bedrock"),
            "model": ("gpt-4o", "openai/gpt-4o", "ollama/llama3"),
            "apiBase": ("http://127.0.0.1:1/v1", "https://fuzz.invalid"),
            "tokenUrl": ("https://fuzz.invalid/token",),
            "clientId": ("client",),
            "location": ("global", "europe-west4"),
            "scopes": ("model_config:read", "model_config:write", "nothing"),
            "name": ("__type", "ModelConfig", "Query", "JSON"),
        }
        pool = pools.get(name, ())
        chosen = rng.choice(pool) if pool and rng.random() < 0.8 else rng.choice(STRINGS)
        if name == "content" and rng.random() < 0.4:
            at = rng.randrange(len(chosen) + 1)
            chosen = chosen[:at] + rng.choice(("", ":", "[", "\n", "- ", "x", '"', "&a *a", "\t")) + chosen[at + 1 :]
        return chosen

    def _known(self, known: list[str]) -> str:
        # The draw does not depend on how many are known.
        place, other = self._rng.random(), self._rng.choice(STRINGS)
        return known[int(place * len(known))] if known and place < 0.9 else other
