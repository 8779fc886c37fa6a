"""`modelwire apply`: make the server's model configs what a file says, after showing what that changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from .asking import confirm
from .changes import CHANGES, describe_change
from .client import GraphQLClient, connect, refusal
from .errors import ExitCode
from .files import import_input
from .output import Output, print_json, printable
from .progress import working

APPLY = f"""
mutation Apply($input: ImportModelConfigsInput!) {{
  importModelConfigs(input: $input) {{
    __typename
    ... on ImportModelConfigsPayload {{
      entries {{ alias action reason ignored {CHANGES} }}
      ignoredSections revision baseRevision
    }}
    ... on UserError {{ message path }}
  }}
}}
"""

_SIGNS = {"CREATE": "+", "UPDATE": "~", "DELETE": "-", "SKIP": "!", "UNCHANGED": " "}
_WRITES = ("CREATE", "UPDATE", "DELETE")


def apply_file(path: Path, *, yes: bool, url: str | None, token: str | None, output: Output) -> ExitCode:
    """Show the plan, ask, and do just that in one transaction: it fails when anybody wrote since the plan was made.

    Raises CommandError: REFUSED for a file that is not right and for a conflict, USAGE without `yes` where nobody can
    be asked, FAILED when the answer is no.
    """
    with contextlib.closing(connect(url, token)) as client:
        given = {**import_input(path), "prune": True}
        with working(f"Comparing {path}"):
            plan = _send(client, path, {**given, "dryRun": True})
        # With JSON, standard output is for the result alone.
        _show(plan, path, err=output is Output.JSON)
        applied = None
        if any(entry["action"] in _WRITES for entry in plan["entries"]):
            if not yes:
                confirm(
                    "Apply this?",
                    unasked="nothing was changed: there is no terminal to ask at; look at the plan, then say --yes",
                )
            with working(f"Applying {path}"):
                applied = _send(client, path, {**given, "expectedRevision": plan["baseRevision"]})["revision"]
    if output is Output.JSON:
        result = {"file": str(path), "entries": plan["entries"], "ignoredSections": plan["ignoredSections"]}
        print_json({**result, "revision": applied})
    elif applied is not None:
        typer.echo(f"Applied at revision {applied}.")
    return ExitCode.DONE


def _send(client: GraphQLClient, path: Path, given: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = client.execute(APPLY, {"input": given})["importModelConfigs"]
    if result["__typename"] == "ImportModelConfigsPayload":
        return result
    what = "the plan is out of date" if result["__typename"] == "RevisionConflict" else str(path)
    raise refusal(result, f"nothing was changed: {what}")


def _show(plan: dict[str, Any], path: Path, *, err: bool) -> None:
    typer.echo(f"{path}, compared with revision {plan['baseRevision']}:", err=err)
    for line in describe_plan(plan):
        typer.echo(f"  {line}".rstrip(), err=err)


def describe_plan(plan: dict[str, Any]) -> Iterator[str]:
    """The lines that tell a person what would happen: what is written and what needs a look, then the sum."""
    for entry in plan["entries"]:
        if entry["action"] == "UNCHANGED" and not entry["reason"]:
            continue
        remark = f"  ({printable(entry['reason'])})" if entry["reason"] else ""
        yield f"{_SIGNS[entry['action']]} {printable(entry['alias'])}{remark}"
        if entry["action"] in {"CREATE", "UPDATE"}:
            changes = (change for change in entry["changes"] if change["path"] != ["alias"])
            yield from (f"    {describe_change(change, new=entry['action'] == 'CREATE')}" for change in changes)
        if entry["ignored"]:
            yield f"    not taken: {', '.join(map(printable, entry['ignored']))}"
    if plan["ignoredSections"]:
        yield f"Sections that Modelwire does not use: {', '.join(map(printable, plan['ignoredSections']))}"
    actions = [entry["action"] for entry in plan["entries"]]
    skipped = f", {actions.count('SKIP')} skipped" if "SKIP" in actions else ""
    yield (
        f"{actions.count('CREATE')} to create, {actions.count('UPDATE')} to change, "
        f"{actions.count('DELETE')} to delete, {actions.count('UNCHANGED')} unchanged{skipped}"
    )
