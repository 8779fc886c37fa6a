"""Reading connections of the API by the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .client import GraphQLClient

_PAGE = 100


def read_pages(
    client: GraphQLClient,
    document: str,
    variables: Mapping[str, Any],
    connection: Callable[[dict[str, Any]], Any],
    *,
    first: int | None,
    page: int = _PAGE,
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `first` nodes of a connection, all when it is None; and whether there are more.

    `document` has the variables `$first` and `$after` besides `variables`. `connection` finds the connection in an
    answer, and may raise. Raises CommandError.
    """
    nodes: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        size = page if first is None else min(page, first - len(nodes))
        found = connection(client.execute(document, {**variables, "first": size, "after": after}))
        nodes += [edge["node"] for edge in found["edges"]]
        more: bool = found["pageInfo"]["hasNextPage"]
        if not more or len(nodes) == first:
            return nodes, more
        after = found["pageInfo"]["endCursor"]
