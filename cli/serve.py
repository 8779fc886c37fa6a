"""`modelwire serve` and `migrate`: the options come from the table of settings."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from ..server.logs import configure_logging
from ..server.settings_loading import Setting, settings_table
from .errors import CommandError
from .options import ConfigFile
from .output import Output, print_json
from .progress import working
from .server_settings import server_settings

serve_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _serve(config: Path | None = None, **flags: str | bool | None) -> None:
    settings = server_settings(config, {name: value for name, value in flags.items() if value is not None})
    configure_logging(settings.log_level, settings.log_format)
    # Only now, so that a mistake in an option is answered at once.
    from ..server.database import StartError
    from ..server.run import run_server

    try:
        run_server(settings)
    except StartError as error:
        raise CommandError(str(error)) from None


def migrate_database(config: Path | None, *, output: Output) -> None:
    """Migrate the database of the settings, and say so. Raises CommandError."""
    settings = server_settings(config)
    from ..server.database import StartError, database_name, prepare_database

    try:
        with working(f"Migrating {database_name(settings)}"):
            prepare_database(settings)
    except StartError as error:
        raise CommandError(str(error)) from None
    if output is Output.JSON:
        print_json({"database": database_name(settings)})
    else:
        typer.echo(f"{database_name(settings)} is up to date.")


def _option(setting: Setting) -> inspect.Parameter:
    default = f"{setting.default}{f' {setting.unit}' if setting.unit else ''}"
    text = f"{setting.help} ({setting.variable}{f'; default: {default}' if default else ''})"
    if setting.switch:
        switch = typer.Option(setting.flag, help=text, show_default=False)
        return _parameter(setting.name, Annotated[bool | None, switch])
    metavar = setting.type if "|" in setting.type else setting.type.upper()
    option = typer.Option(setting.flag, metavar=metavar, help=text, show_default=False)
    return _parameter(setting.name, Annotated[str | None, option])


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _with_options(table: tuple[Setting, ...]) -> None:
    """Give the command one option for each setting that may stand in a process list."""
    secrets = ", ".join(setting.variable for setting in table if setting.flag is None)
    options = [_parameter("config", ConfigFile), *(_option(setting) for setting in table if setting.flag is not None)]
    _serve.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    _serve.__annotations__ = {option.name: option.annotation for option in options}
    _serve.__doc__ = f"""Run the server: the GraphQL API on an embedded database or on PostgreSQL.

    Settings come from environment variables, then files in the folder MODELWIRE_SECRETS_DIR, then modelwire.toml, then
    these options; what comes later wins. Secrets are no options: {secrets} come from the environment or a file.

    \b
    modelwire serve
    For other machines too, on PostgreSQL:
      MODELWIRE_DATABASE_URL=postgresql://… modelwire serve --host 0.0.0.0
    """


_with_options(settings_table())
serve_app.command()(_serve)
