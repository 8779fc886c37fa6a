"""A GraphQL request as clients send it, over HTTP and over the websocket alike. Pure: no I/O, no GraphQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_JSON_DEPTH = 100
"""How deep JSON from a client may nest. Python code that walks it recursively stays far from its own limit, and
orjson, which writes at most 254 levels, can write it again."""


class InvalidRequest(Exception):
    """What the client sent is not a GraphQL request. The text says what is wrong and holds no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """What to execute. `operation_name` None means that the document has only one operation.

    Hidden in its repr, because literals and variables may hold secrets.
    """

    query: str = field(repr=False)
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    extensions: Mapping[str, Any] = field(default_factory=dict, repr=False)


def parse_json(raw: bytes | str) -> Any:
    """Read JSON that a client sent. Raises InvalidRequest when it is none or nests too deeply."""
    try:
        value = orjson.loads(raw)
    except ValueError:
        # `from None`: the error of orjson carries the whole document.
        raise InvalidRequest("this is not valid JSON") from None
    if _nests_too_deeply(value):
        raise InvalidRequest(f"this nests deeper than {MAX_JSON_DEPTH} levels")
    return value


def parse_request(value: Any) -> GraphQLRequest:
    """Check the shape of a request: an object with `query`, `operationName`, `variables` and `extensions`.

    Other keys are ignored, as the specification asks. Raises InvalidRequest.
    """
    if isinstance(value, list):
        raise InvalidRequest("batches are not supported: send one request, a JSON object")
    if not isinstance(value, dict):
        raise InvalidRequest("a request is a JSON object")
    query, operation_name = value.get("query"), value.get("operationName")
    if not isinstance(query, str):
        raise InvalidRequest('"query" is missing' if query is None else '"query" must be a string')
    if operation_name is not None and not isinstance(operation_name, str):
        raise InvalidRequest('"operationName" must be a string or null')
    return GraphQLRequest(
        query=query,
        operation_name=operation_name,
        variables=_mapping(value, "variables"),
        extensions=_mapping(value, "extensions"),
    )


def _mapping(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidRequest(f'"{name}" must be an object or null')
    return found


def _nests_too_deeply(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            item
            for container in level
            if isinstance(container, (dict, list))
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True
