"""The GraphQL document that the subscriber sends, and the events that answer it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from .errors import ProtocolError
from .protocol import Json

DOCUMENT = """\
subscription ModelConfigs($by: [ModelConfigRef!], $since: Revision) {
  modelConfigChanged(by: $by, since: $since) {
    __typename
    revision
    ... on ModelConfigSnapshot { reset modelConfigs { ...Config } }
    ... on ModelConfigChange { put { ...Config } removed { id alias } }
  }
}
fragment Config on ModelConfig { id alias version revision configured maxInputTokens litellmParams }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One model config as the server sends it. `litellm_params` is None exactly when it is not configured."""

    id: str
    alias: str
    version: int
    revision: str
    max_input_tokens: int | None
    litellm_params: Mapping[str, Json] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the subscription names, at `revision`. What it does not contain is gone."""

    revision: str
    configs: tuple[Config, ...]
    reset: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What is different at `revision`: configs that came or changed, and the ids of those that left."""

    revision: str
    put: tuple[Config, ...]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Nothing is different at `revision`."""

    revision: str


Event = Snapshot | Change | Bookmark


def request(alias: str, since: str | None) -> dict[str, Json]:
    """What to subscribe with for one alias. `since` None asks for a snapshot."""
    variables: dict[str, Json] = {"by": [{"alias": alias}]}
    if since is not None:
        variables["since"] = since
    return {"query": DOCUMENT, "operationName": "ModelConfigs", "variables": variables}


def parse(data: Json) -> Event:
    """Read the `data` of one result. Raises ProtocolError when it is not what the document asks for."""
    event = _field(_object(data), "modelConfigChanged", dict)
    revision = _field(event, "revision", str)
    match event.get("__typename"):
        case "ModelConfigSnapshot":
            configs = tuple(map(config, _field(event, "modelConfigs", list)))
            return Snapshot(revision, configs, _field(event, "reset", bool))
        case "ModelConfigChange":
            put = tuple(map(config, _field(event, "put", list)))
            removed = frozenset(_field(_object(item), "id", str) for item in _field(event, "removed", list))
            return Change(revision, put, removed)
        case "Bookmark":
            return Bookmark(revision)
        case _:
            raise ProtocolError("the server sent an event of a kind that this version does not know")


def config(item: Json) -> Config:
    """Read one config. Raises ProtocolError."""
    item = _object(item)
    configured = _field(item, "configured", bool)
    max_input_tokens = item.get("maxInputTokens")
    return Config(
        id=_field(item, "id", str),
        alias=_field(item, "alias", str),
        version=_field(item, "version", int),
        revision=_field(item, "revision", str),
        max_input_tokens=None if max_input_tokens is None else _field(item, "maxInputTokens", int),
        litellm_params=_field(item, "litellmParams", dict) if configured else None,
    )


T = TypeVar("T")


def _field(item: Mapping[str, Json], name: str, type_: type[T]) -> T:
    value = item.get(name)
    # True is an int for Python and not for the API.
    if not isinstance(value, type_) or (type_ is int and isinstance(value, bool)):
        raise ProtocolError(f"the server sent an event without a valid {name!r}")
    return value


def _object(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise ProtocolError("the server sent an event that is not an object")
    return value
