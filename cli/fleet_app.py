"""The commands about the fleet, and their arguments."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .completion import complete_alias
from .options import OutputForm, ServerUrl, Token
from .output import Output

fleet_app = typer.Typer(rich_markup_mode=None)


@fleet_app.command()
def watch(
    aliases: Annotated[
        list[str] | None,
        typer.Argument(metavar="ALIAS", help="What to watch; all configs without any.", autocompletion=complete_alias),
    ] = None,
    allow_env: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-env",
            metavar="NAME",
            help="A variable that configs may refer to, as allowed_env of the component has it; * stands for any text.",
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Show what there is now, and end: 3 when not all of it would be applied.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long --once waits, in seconds.")
    ] = 30.0,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Watch the link and what a component would apply.

    The first thing to reach for when a component does not behave: run it where the component runs, with its token and
    its environment. It opens the link that components open, shows whether that is connecting, live or stale and why,
    each version as it comes, and whether a component would apply it. Secrets are hidden. It is no component itself: it
    acknowledges nothing, and the fleet's figures do not count it. Ctrl-C ends it with 0.

    \b
    modelwire watch general
    All that this key may see, for a log:
      modelwire watch --output json
    In a container's check, with its variables:
      modelwire watch general --once

    \b
    JSON, one object a line:
      {"at": "…", "type": "link", "state": "live", "url": "ws://…",
       "error": null, "hint": null}
      {"at": "…", "type": "config", "status": "WOULD_APPLY", "alias": "general",
       "id": "…", "version": 3, "reason": null, "message": null, "inUse": 3,
       "settings": {"model": "openai/gpt-4o"}, "secrets": ["api_key"],
       "changed": ["model"], …}
      "status" is WOULD_APPLY, REFUSED (with the class in "reason"), PLACEHOLDER,
      REMOVED, or ABSENT (no config has the alias).
    """
    from .watch_command import watch_configs

    raise typer.Exit(
        watch_configs(
            aliases or [],
            allow_env=allow_env or [],
            once=once,
            timeout_seconds=timeout,
            url=url,
            token=token,
            output=output,
        )
    )


@fleet_app.command()
def components(
    alias: Annotated[
        str | None,
        typer.Option("--alias", metavar="ALIAS", help="Those that use it.", autocompletion=complete_alias),
    ] = None,
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
        | jq '.components[] | {name} + (.bindings[] | select(.state=="REFUSED"))'

    \b
    JSON: {"components": [{"name": "orders-agent", "instanceId": "…",
           "online": true, "libraryVersion": "…", "bindings": [
             {"alias": "general", "state": "APPLIED", "desiredVersion": 3,
              "appliedVersion": 3, …}, …], "moreBindings": false, …}, …],
           "more": false}
      The API's enum ComponentBindingState has the states.
    """
    from .components_command import show_components

    given: dict[str, Any] = {"alias": alias, "name": name, "online": online}
    filter_ = {field: value for field, value in given.items() if value is not None}
    show_components(filter_=filter_, first=first, url=url, token=token, output=output)
