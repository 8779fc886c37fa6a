"""`modelwire history`: the versions of a model config, and what each of them changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from .apply_command import describe_change
from .client import GraphQLClient, connect
from .model_configs import unknown_alias
from .output import Output, print_json, printable

_PAGE = 100

HISTORY = """
query History($alias: String!, $first: Int, $after: String) {
  modelConfig(by: {alias: $alias}) {
    id alias version
    history(first: $first, after: $after) {
      edges { node { version revision at by baseline changes { path before after secret } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


def show_history(alias: str, *, first: int, url: str | None, token: str | None, output: Output) -> None:
    """Show up to `first` versions, newest first. Raises CommandError, also when there is no such config."""
    with contextlib.closing(connect(url, token)) as client:
        config, versions, more = _read(client, alias, first)
    if output is Output.JSON:
        print_json({"id": config["id"], "alias": config["alias"], "versions": versions, "more": more})
        return
    for version in versions:
        for line in describe_version(version):
            typer.echo(line)
    if more:
        typer.echo("There are older versions: show more with --first.")


def _read(client: GraphQLClient, alias: str, first: int) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
    versions: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        variables = {"alias": alias, "first": min(_PAGE, first - len(versions)), "after": after}
        config = client.execute(HISTORY, variables)["modelConfig"]
        if config is None:
            raise unknown_alias(alias)
        page = config["history"]
        versions += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if len(versions) >= first or not page["pageInfo"]["hasNextPage"]:
            return config, versions, page["pageInfo"]["hasNextPage"]


def describe_version(version: dict[str, Any]) -> Iterator[str]:
    """The lines that tell a person of one version."""
    remark = "  (the version before it is no longer kept: all that it holds)" if version["baseline"] else ""
    yield f"version {version['version']}  {version['at']}  {printable(version['by'])}{remark}"
    new = version["baseline"] or version["version"] == 1
    yield from (f"    {describe_change(change, new=new)}" for change in version["changes"])
