"""`modelwire components`: the processes of the fleet, and what each of them runs."""

from __future__ import annotations

import contextlib
from typing import Any

import typer

from .bindings import BINDING, STATE_STYLES, describe_binding, instance_text
from .client import connect
from .output import Output, moment_text, print_json
from .paging import read_pages
from .tables import Cell, print_table

# Their product is what a server answers at once at most: see its setting max_cost.
_PAGE = 20
_BINDINGS = 25

COMPONENTS = f"""
query Components($first: Int, $after: String, $filter: ComponentFilter) {{
  components(first: $first, after: $after, filter: $filter) {{
    edges {{ node {{
      id name instanceId kind libraryVersion labels subject online connectedAt disconnectedAt
      bindings(first: {_BINDINGS}) {{ edges {{ node {{ ...Binding }} }} pageInfo {{ hasNextPage }} }}
    }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
{BINDING}
"""


def show_components(
    *, filter_: dict[str, Any], first: int | None, url: str | None, token: str | None, output: Output
) -> None:
    """Show the components that fit a ComponentFilter, at most `first` of them; None shows all. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        found, more = read_pages(
            client, COMPONENTS, {"filter": filter_}, lambda data: data["components"], first=first, page=_PAGE
        )
    components = [_flat(component) for component in found]
    if output is Output.JSON:
        print_json({"components": components, "more": more})
        return
    if not components:
        typer.echo(
            "No component fits."
            if filter_
            else "No component was connected in the last day. To be seen, its API key needs the scope component:report."
        )
        return
    print_table(
        ("COMPONENT", "INSTANCE", "STATE", "LIBRARY", "RUNS"), map(_row, components), fixed=("INSTANCE", "LIBRARY")
    )
    if more:
        typer.echo("There are more: show them with --first.")


def _flat(component: dict[str, Any]) -> dict[str, Any]:
    page = component.pop("bindings")
    bindings = [edge["node"] for edge in page["edges"]]
    return {**component, "bindings": bindings, "moreBindings": page["pageInfo"]["hasNextPage"]}


def _row(component: dict[str, Any]) -> tuple[str | Cell, ...]:
    if component["online"]:
        state = Cell("online", "green")
    else:
        state = Cell(f"offline since {moment_text(component['disconnectedAt'] or component['connectedAt'])}", "dim")
    bindings = component["bindings"]
    runs = [describe_binding(binding) for binding in bindings]
    if component["moreBindings"]:
        runs.append("and more")
    worst = next((name for name in ("REFUSED", "PENDING", "WAITING") if name in {b["state"] for b in bindings}), "")
    return (
        component["name"],
        instance_text(component),
        state,
        component["libraryVersion"] or "",
        Cell("\n".join(runs), STATE_STYLES.get(worst, "")),
    )
