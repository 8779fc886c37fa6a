"""`modelwire history`: the versions of a model config, and what each of them changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from .changes import CHANGES, describe_change
from .client import connect
from .model_configs import unknown_alias
from .output import Output, print_json, printable
from .paging import read_pages

HISTORY = f"""
query History($alias: String!, $first: Int, $after: String) {{
  modelConfig(by: {{alias: $alias}}) {{
    id alias
    history(first: $first, after: $after) {{
      edges {{ node {{ version revision at by baseline {CHANGES} }} }}
      pageInfo {{ hasNextPage endCursor }}
    }}
  }}
}}
"""


def show_history(alias: str, *, first: int, url: str | None, token: str | None, output: Output) -> None:
    """Show up to `first` versions, newest first. Raises CommandError, also when there is no such config."""
    config: dict[str, Any] = {}

    def history(data: dict[str, Any]) -> Any:
        if data["modelConfig"] is None:
            raise unknown_alias(alias)
        config.update(data["modelConfig"])
        return config["history"]

    with contextlib.closing(connect(url, token)) as client:
        versions, more = read_pages(client, HISTORY, {"alias": alias}, history, first=first)
    if output is Output.JSON:
        print_json({"id": config["id"], "alias": config["alias"], "versions": versions, "more": more})
        return
    for version in versions:
        for line in describe_version(version):
            typer.echo(line)
    if more:
        typer.echo("There are older versions: show more with --first.")


def describe_version(version: dict[str, Any]) -> Iterator[str]:
    """The lines that tell a person of one version."""
    remark = "  (the version before it is no longer kept: all that it holds)" if version["baseline"] else ""
    yield f"version {version['version']}  {version['at']}  {printable(version['by'])}{remark}"
    new = version["baseline"] or version["version"] == 1
    yield from (f"    {describe_change(change, new=new)}" for change in version["changes"])
