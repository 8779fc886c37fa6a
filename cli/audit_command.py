"""`modelwire audit log`: who did what, as the server tells it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import typer

from .client import GraphQLClient, connect
from .output import Output, print_json, printable

_PAGE = 100

AUDIT_LOG = """
query AuditLog($first: Int, $after: String) {
  auditLog(first: $first, after: $after) {
    edges { node { sequence at action actor details hash } }
    pageInfo { hasNextPage endCursor }
  }
}
"""


def show_audit_log(*, first: int, url: str | None, token: str | None, output: Output) -> None:
    """Show up to `first` entries, newest first. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        entries, more = _read(client, first)
    if output is Output.JSON:
        print_json({"entries": entries, "more": more})
        return
    for entry in entries:
        typer.echo(describe_entry(entry))
    if more:
        typer.echo("There are older entries: show more with --first.")


def _read(client: GraphQLClient, first: int) -> tuple[list[dict[str, Any]], bool]:
    entries: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = client.execute(AUDIT_LOG, {"first": min(_PAGE, first - len(entries)), "after": after})["auditLog"]
        entries += [edge["node"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if len(entries) >= first or not page["pageInfo"]["hasNextPage"]:
            return entries, page["pageInfo"]["hasNextPage"]


def describe_entry(entry: dict[str, Any]) -> str:
    """The line that tells a person of one entry."""
    details = ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in sorted(entry["details"].items())
    )
    return printable(f"{entry['sequence']}  {entry['at']}  {entry['actor']}  {entry['action']}  {details}")
