"""`modelwire list` and `get`: the model configs of a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import typer

from .bindings import COMPONENT_READ, describe_rollout, print_users, read_users
from .client import connect
from .model_configs import CONFIG, auth_lines, auth_name, auth_summary, find_config, model_text, value_text
from .output import Output, in_line, moment_text, print_json, printable
from .paging import read_pages
from .tables import Cell, print_table

_LABEL_CHARACTERS = 18

LIST = f"""
query List($first: Int, $after: String, $filter: ModelConfigFilter) {{
  modelConfigs(first: $first, after: $after, filter: $filter) {{
    edges {{ node {{ ...Config }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
{CONFIG}
"""


def list_configs(
    *, filter_: dict[str, Any], first: int | None, url: str | None, token: str | None, output: Output
) -> None:
    """Show the configs that fit a ModelConfigFilter, at most `first` of them; None shows all. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        configs, more = read_pages(client, LIST, {"filter": filter_}, lambda data: data["modelConfigs"], first=first)
    if output is Output.JSON:
        print_json({"modelConfigs": configs, "more": more})
        return
    if not configs:
        typer.echo("No model config fits." if filter_ else "There is no model config that you may see.")
        return
    rows = [
        (
            config["alias"],
            Cell(model_text(config), "" if config["configured"] else "yellow"),
            auth_summary(config["auth"]),
            str(config["version"]),
            moment_text(config["updatedAt"]),
        )
        for config in configs
    ]
    print_table(("ALIAS", "MODEL", "AUTH", "VERSION", "CHANGED"), rows, fixed=("VERSION", "CHANGED"))
    if more:
        typer.echo("There are more: show them with --first.")


def show_config(alias: str, *, url: str | None, token: str | None, output: Output) -> None:
    """Show one config and, to who may see it, which components run it. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        config, scopes = find_config(client, alias)
        rollout, users = read_users(client, config["id"]) if COMPONENT_READ in scopes else (None, None)
    if output is Output.JSON:
        print_json({**config, "rollout": rollout, "components": users})
        return
    for line in describe_config(config):
        typer.echo(line)
    if rollout is not None:
        typer.echo(_line("Components", describe_rollout(rollout)))
    if users:
        typer.echo()
        print_users(users)


def describe_config(config: dict[str, Any]) -> Iterator[str]:
    """The lines that tell a person of one config. Secrets are at most hinted at."""
    yield printable(config["alias"]) + ("  (a default alias)" if config["isDefault"] else "")
    if config["description"]:
        yield _line("Description", config["description"])
    yield _line("Model", model_text(config))
    if config["configured"]:
        yield _line("Provider", config["provider"])
    if config["apiBase"] is not None:
        yield _line("API base", config["apiBase"])
    yield _line("Auth", auth_name(config["auth"]))
    for name, text in auth_lines(config["auth"]):
        yield _line(f"  {name}", text)
    if config["params"] or config["sealedParams"]:
        yield "  Params"
    for name, value in config["params"].items():
        yield _line(f"  {name}", value_text(value))
    for name in config["sealedParams"]:
        yield _line(f"  {name}", "(secret)")
    if config["maxInputTokens"] is not None:
        yield _line("Max input tokens", str(config["maxInputTokens"]))
    yield _line("Version", f"{config['version']}, {moment_text(config['updatedAt'])} by {config['updatedBy']}")
    if config["version"] > 1:
        yield _line("Made", f"{moment_text(config['createdAt'])} by {config['createdBy']}")
    yield _line("Id", config["id"])


def _line(label: str, text: str) -> str:
    return f"  {printable(label):<{_LABEL_CHARACTERS}}  {in_line(text)}"
