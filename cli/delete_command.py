"""`modelwire delete`: delete a model config, after showing who uses it."""

from __future__ import annotations

import contextlib
from typing import Any

import typer

from .asking import confirm
from .bindings import COMPONENT_READ, print_users, read_users
from .client import GraphQLClient, connect, refusal
from .errors import CommandError, ExitCode
from .model_configs import find_config, model_text
from .output import Output, print_json, printable

DELETE = """
mutation Delete($input: DeleteModelConfigInput!) {
  deleteModelConfig(input: $input) {
    __typename
    ... on DeleteModelConfigPayload { id alias revision }
    ... on UserError { message path }
  }
}
"""


def delete_config(alias: str, *, yes: bool, force: bool, url: str | None, token: str | None, output: Output) -> None:
    """Delete the config as it was shown. Raises CommandError: REFUSED for a default alias, a config that connected
    components use without `force`, and one that somebody changed meanwhile; USAGE without `yes` where nobody can be
    asked; FAILED when there is none, or the answer is no.
    """
    with contextlib.closing(connect(url, token)) as client:
        config, scopes = find_config(client, alias)
        name = printable(config["alias"])
        if config["isDefault"]:
            raise CommandError(
                f"{name} is a default alias and cannot be deleted; `modelwire set {name} provider= model=` makes it a "
                "placeholder again",
                ExitCode.REFUSED,
            )
        in_use = _users(client, config) if COMPONENT_READ in scopes else 0
        if in_use and not force:
            raise _in_use(name)
        if not yes:
            confirm(
                f"Delete {name} ({printable(model_text(config))}, version {config['version']})?",
                unasked="nothing was deleted: there is no terminal to ask at; say --yes",
            )
        given = {"id": config["id"], "expectedVersion": config["version"], "force": force}
        result: dict[str, Any] = client.execute(DELETE, {"input": given})["deleteModelConfig"]
    if result.pop("__typename") != "DeleteModelConfigPayload":
        raise refusal(result, "nothing was deleted")
    if output is Output.JSON:
        print_json(result)
    else:
        typer.echo(f"Deleted {name}, at revision {printable(result['revision'])}.")


def _users(client: GraphQLClient, config: dict[str, Any]) -> int:
    """Show those that would be left without a model; how many they are."""
    _, users = read_users(client, config["id"])
    online = [binding for binding in users if binding["component"]["online"]]
    if online:
        typer.echo("These components use it and would be left without a model:", err=True)
        print_users(online, err=True)
    return len(online)


def _in_use(name: str) -> CommandError:
    return CommandError(
        f"nothing was deleted: components use {name}; move them to another alias first, or say --force",
        ExitCode.REFUSED,
    )
