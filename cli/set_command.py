"""`modelwire set`: change a model config field by field, or make one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from .assignments import Assignments, parse
from .bindings import COMPONENT_READ
from .changes import CHANGES, describe_change
from .client import GraphQLClient, connect, refusal
from .errors import CommandError, ExitCode
from .model_configs import CONFIG, dropped_credentials, lookup_config, model_text
from .output import Output, moment_text, print_json, printable

_CHANGED = f"...Config history(first: 1) {{ edges {{ node {{ {CHANGES} }} }} }}"

CREATE = f"""
mutation Create($input: CreateModelConfigInput!) {{
  createModelConfig(input: $input) {{
    __typename
    ... on CreateModelConfigPayload {{ modelConfig {{ {_CHANGED} }} }}
    ... on UserError {{ message path }}
  }}
}}
{CONFIG}
"""
UPDATE = f"""
mutation Update($input: UpdateModelConfigInput!) {{
  updateModelConfig(input: $input) {{
    __typename
    ... on UpdateModelConfigPayload {{ droppedCredentials modelConfig {{ {_CHANGED} }} }}
    ... on VersionConflict {{ current {{ version updatedAt updatedBy }} }}
    ... on UserError {{ message path }}
  }}
}}
{CONFIG}
"""


def set_config(
    alias: str,
    arguments: list[str],
    *,
    create: bool,
    expected_version: int | None,
    validate_only: bool,
    wait_seconds: float | None,
    url: str | None,
    token: str | None,
    output: Output,
) -> ExitCode:
    """Do what the `key=value` arguments say to the config with this alias.

    `expected_version` is what it has to be at; None: what it is at now. With `create` it is made when there is none.
    `wait_seconds` is how long to wait for the fleet; None: not at all. REFUSED when it does not run the version then.
    Raises CommandError: USAGE for arguments that cannot be read, REFUSED when the server says no, FAILED when there is
    no such config.
    """
    assigned = parse(arguments)
    if not arguments and not create:
        raise CommandError(
            "nothing is to be set: give what shall change as key=value, such as model=gpt-4o", ExitCode.USAGE
        )
    with contextlib.closing(connect(url, token)) as client:
        before = _find(client, alias, create=create, wait=wait_seconds is not None)
        written = _write(client, alias, before, assigned, expected_version, validate_only=validate_only)
    after = written["modelConfig"]
    _warn(assigned, after)
    if after is None:
        _show_valid(alias, output)
        return ExitCode.DONE
    changes = [change for edge in after.pop("history")["edges"] for change in edge["node"]["changes"]]
    told = {
        "created": before is None,
        "changed": before is None or after["version"] != before["version"],
        "droppedCredentials": written.get("droppedCredentials", False),
    }
    if output is Output.TABLE:
        for line in describe_written(after, changes, told):
            typer.echo(line)
    rollout = None
    if wait_seconds is not None:
        # Only here: it loads the subscriber.
        from .waiting import code_of, print_rollout, rollout_json, wait_for_rollout

        rollout = wait_for_rollout(after, timeout_seconds=wait_seconds, url=url, token=token)
    if output is Output.JSON:
        print_json({**after, **told, **(rollout_json(rollout) if rollout else {})})
    elif rollout is not None:
        print_rollout(rollout, timeout_seconds=wait_seconds or 0.0)
    return code_of(rollout) if rollout else ExitCode.DONE


def _find(client: GraphQLClient, alias: str, *, create: bool, wait: bool) -> dict[str, Any] | None:
    """The config as it is; None when there is none, and it is to be made. Raises CommandError."""
    config, scopes = lookup_config(client, alias)
    if wait and COMPONENT_READ not in scopes:
        raise CommandError(f"nothing was changed: --wait needs a key with the scope {COMPONENT_READ}", ExitCode.REFUSED)
    if config is None and not create:
        raise CommandError(
            f"there is no model config with the alias {alias!r}, or none that you may see; --create makes it"
        )
    return config


def _write(
    client: GraphQLClient,
    alias: str,
    before: dict[str, Any] | None,
    assigned: Assignments,
    expected_version: int | None,
    *,
    validate_only: bool,
) -> dict[str, Any]:
    """The mutation's payload. Raises CommandError."""
    given = {**assigned.input(before), "validateOnly": validate_only}
    result: dict[str, Any]
    if before is None:
        result = client.execute(CREATE, {"input": {"alias": alias, **given}})["createModelConfig"]
    else:
        expected = before["version"] if expected_version is None else expected_version
        given = {**given, "id": before["id"], "expectedVersion": expected}
        result = client.execute(UPDATE, {"input": given})["updateModelConfig"]
    if result["__typename"] in {"CreateModelConfigPayload", "UpdateModelConfigPayload"}:
        return result
    if result["__typename"] == "VersionConflict":
        raise _conflict(alias, given["expectedVersion"], result["current"])
    raise refusal(result)


def _conflict(alias: str, expected: int, current: dict[str, Any]) -> CommandError:
    return CommandError(
        f"nothing was changed: {printable(alias)} is at version {current['version']}, which "
        f"{printable(current['updatedBy'])} made at {moment_text(current['updatedAt'])}, and not at {expected}; look "
        f"at `modelwire history {printable(alias)}`, then set it again",
        ExitCode.REFUSED,
    )


def _warn(assigned: Assignments, after: dict[str, Any] | None) -> None:
    """Tell of secrets that others may have seen."""
    sealed = () if after is None else after["sealedParams"]
    for key in assigned.exposed:
        typer.echo(
            f"Warning: {key} stood on the command line, where other users of this machine can see it and the shell "
            f"keeps it; next time use {key}=@- (standard input, or a prompt), {key}=@FILE or {key}=env:NAME.",
            err=True,
        )
    for name in sorted(assigned.exposed_params & set(sealed)):
        typer.echo(
            f"Warning: params.{printable(name)} holds a secret and stood on the command line; next time use "
            f"params.{printable(name)}=@- or @FILE.",
            err=True,
        )


def _show_valid(alias: str, output: Output) -> None:
    if output is Output.JSON:
        print_json({"alias": alias, "valid": True})
    else:
        typer.echo(f"{printable(alias)} could be set so; nothing was written.")


def describe_written(config: dict[str, Any], changes: list[dict[str, Any]], told: dict[str, bool]) -> Iterator[str]:
    """The lines that tell a person what became of a config: whether it was created and changed, and what else is told
    of it.
    """
    alias, version = printable(config["alias"]), config["version"]
    if not told["changed"]:
        yield f"{alias} is so already, at version {version}."
        return
    yield f"{alias} is {'made' if told['created'] else 'set'}, at version {version}: {printable(model_text(config))}"
    yield from (
        f"    {describe_change(change, new=told['created'])}" for change in changes if change["path"] != ["alias"]
    )
    if told["droppedCredentials"]:
        yield dropped_credentials(config["alias"])
