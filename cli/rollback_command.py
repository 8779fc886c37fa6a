"""`modelwire rollback`: give a model config the content of one of its old versions."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import typer

from .client import connect
from .errors import CommandError, ExitCode
from .output import Output, printable

FIND = "query Find($alias: String!) { modelConfig(by: {alias: $alias}) { id version } }"
ROLLBACK = """
mutation Rollback($input: RollbackModelConfigInput!) {
  rollbackModelConfig(input: $input) {
    __typename
    ... on RollbackModelConfigPayload { modelConfig { id alias version revision } droppedCredentials }
    ... on UserError { message path }
  }
}
"""


def roll_back(alias: str, version: int, *, url: str | None, token: str | None, output: Output) -> None:
    """Make a new version with the content of `version`.

    Raises CommandError: REFUSED when the server says no, and when somebody changed the config meanwhile.
    """
    with contextlib.closing(connect(url, token)) as client:
        config = client.execute(FIND, {"alias": alias})["modelConfig"]
        if config is None:
            raise CommandError(f"there is no model config with the alias {alias!r}, or none that you may see")
        given = {"id": config["id"], "expectedVersion": config["version"], "toVersion": version}
        result: dict[str, Any] = client.execute(ROLLBACK, {"input": given})["rollbackModelConfig"]
    if result["__typename"] != "RollbackModelConfigPayload":
        raise CommandError(f"nothing was changed: {printable(result['message'])}", ExitCode.REFUSED)
    after = result["modelConfig"]
    changed = after["version"] != config["version"]
    if output is Output.JSON:
        shown = {**after, "changed": changed, "droppedCredentials": result["droppedCredentials"]}
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    if not changed:
        typer.echo(f"{printable(after['alias'])} has the content of version {version} already.")
        return
    typer.echo(f"{printable(after['alias'])} is at version {after['version']}, with the content of version {version}.")
    if result["droppedCredentials"]:
        typer.echo(
            "Its credentials were dropped, because that version has another provider, kind of auth or address: "
            "give it new ones."
        )
