"""The commands that bring model configs in from files and out to them, and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import OutputForm, ServerUrl, Token, Yes
from .output import Format, Output

files_app = typer.Typer(rich_markup_mode=None)


@files_app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="LiteLLM config.yaml, SAM shared_config.yaml, or exports of Modelwire."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would happen and write nothing.")] = False,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Import model configs from files, each whole or not at all.

    An entry that cannot be taken is shown with its reason and what to do about it; such entries do not fail the import.
    Configs that a file does not name stay as they are. Ends with 3 when the server refused a file.

    \b
    modelwire import config.yaml --dry-run
    modelwire import config.yaml
    Those that were not taken, and why:
      modelwire import config.yaml --output json \\
        | jq '.files[].entries[] | select(.action == "SKIP") | {alias, reason}'

    \b
    JSON: {"files": [{"file": "config.yaml", "dryRun": false, "error": null,
           "revision": "…", "ignoredSections": [], "entries": [
             {"alias": "gpt-4o", "action": "CREATE", "reason": null,
              "ignored": []}, …]}, …]}
      A file that was refused has "error" and no entries.
    """
    from .import_command import import_files

    raise typer.Exit(import_files(files, dry_run=dry_run, url=url, token=token, output=output))


@files_app.command()
def export(
    form: Annotated[
        Format, typer.Option("--format", help="Modelwire's own, which loses nothing, or LiteLLM's config.yaml.")
    ] = Format.MODELWIRE,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of standard output.")
    ] = None,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Write the model configs as a file, for `modelwire apply`.

    Sealed secrets are named in it and never shown.

    \b
    modelwire export --file models.yaml
    For LiteLLM's proxy:
      modelwire export --format litellm > config.yaml

    \b
    JSON: {"format": "modelwire", "revision": "…", "content": "…"}
      With --file "file", its path, stands in place of "content".
    """
    from .export_command import export_configs

    export_configs(form, file=file, url=url, token=token, output=output)


@files_app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that says what is wanted.")],
    yes: Yes = False,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Make the model configs what a file says: plan, ask, do.

    All is done in one transaction. Configs that the file does not name are deleted, default aliases excepted. Ends with
    3, and nothing is done, when anybody changed a config after the plan was shown.

    \b
    modelwire export --file models.yaml
    modelwire apply models.yaml
    In a pipeline, after somebody looked at the plan:
      modelwire apply models.yaml --yes

    \b
    JSON: {"file": "models.yaml", "ignoredSections": [], "revision": "…",
           "entries": [{"alias": "general", "action": "UPDATE",
                        "changes": […], …}, …]}
      "revision" is null when nothing had to be done.
    """
    from .apply_command import apply_file

    raise typer.Exit(apply_file(file, yes=yes, url=url, token=token, output=output))
