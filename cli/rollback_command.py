"""`modelwire rollback`: give a model config the content of one of its old versions."""

from __future__ import annotations

import contextlib
from typing import Any

import typer

from .client import connect, refusal
from .model_configs import dropped_credentials, find_config
from .output import Output, print_json, printable

ROLLBACK = """
mutation Rollback($input: RollbackModelConfigInput!) {
  rollbackModelConfig(input: $input) {
    __typename
    ... on RollbackModelConfigPayload { modelConfig { id alias configured version revision } droppedCredentials }
    ... on UserError { message path }
  }
}
"""


def roll_back(alias: str, version: int, *, url: str | None, token: str | None, output: Output) -> None:
    """Make a new version with the content of `version`.

    Raises CommandError: REFUSED when the server says no, and when somebody changed the config meanwhile.
    """
    with contextlib.closing(connect(url, token)) as client:
        config, _ = find_config(client, alias)
        given = {"id": config["id"], "expectedVersion": config["version"], "toVersion": version}
        result: dict[str, Any] = client.execute(ROLLBACK, {"input": given})["rollbackModelConfig"]
    if result["__typename"] != "RollbackModelConfigPayload":
        raise refusal(result)
    after = result["modelConfig"]
    changed = after["version"] != config["version"]
    if output is Output.JSON:
        print_json({**after, "changed": changed, "droppedCredentials": result["droppedCredentials"]})
        return
    if not changed:
        typer.echo(f"{printable(after['alias'])} has the content of version {version} already.")
        return
    typer.echo(f"{printable(after['alias'])} is at version {after['version']}, with the content of version {version}.")
    if result["droppedCredentials"] and after["configured"]:
        typer.echo(dropped_credentials(after["alias"]))
    elif result["droppedCredentials"]:
        typer.echo("It is a placeholder again: its stored credentials were dropped.")
