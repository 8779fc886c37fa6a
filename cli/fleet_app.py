"""The commands about the fleet, and their arguments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .options import OutputForm, ServerUrl, Token
from .output import Output

fleet_app = typer.Typer(rich_markup_mode=None)


@fleet_app.command()
def components(
    alias: Annotated[str | None, typer.Option("--alias", metavar="ALIAS", help="Those that use it.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Those that are called so.")] = None,
    online: Annotated[
        bool | None, typer.Option("--online/--offline", help="Those that are connected, or that are not.")
    ] = None,
    first: Annotated[int | None, typer.Option("--first", min=1, help="How many to show; all without it.")] = None,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the components and which versions they run.

    Shows those that are connected, or were until a day ago. Needs a key with the scope component:read.

    \b
    modelwire components
    Who uses an alias now:
      modelwire components --alias general --online
    Who refused a version, and why:
      modelwire components --output json \\
        | jq '.components[] | {name, refused: [.bindings[] | select(.state == "REFUSED")]} | select(.refused != [])'

    \b
    JSON: {"components": [{"name": "orders-agent", "instanceId": "…", "online": true, "libraryVersion": "…",
           "bindings": [{"alias": "general", "state": "APPLIED", "desiredVersion": 3, "appliedVersion": 3, …}, …],
           "moreBindings": false, …}, …], "more": false}
      The API's enum ComponentBindingState has the states.
    """
    from .components_command import show_components

    given: dict[str, Any] = {"alias": alias, "name": name, "online": online}
    filter_ = {field: value for field, value in given.items() if value is not None}
    show_components(filter_=filter_, first=first, url=url, token=token, output=output)
