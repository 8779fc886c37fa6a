"""The commands and their arguments. Each loads what it needs when it runs."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .api_key_app import api_key_app
from .audit_app import audit_app
from .config_app import config_app
from .database_app import database_app
from .errors import CommandError, ExitCode, server_extra
from .files_app import files_app
from .fleet_app import fleet_app
from .options import OutputForm
from .output import Output

app = typer.Typer(
    name="modelwire",
    help="Model configurations for fleets of LLM agents, and the wire that brings every change to each of them.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (a conflict, in use, not permitted).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_OWN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run() -> None:
    """Run the command line that the process was started with, and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Terminals that are not for UTF-8 lack characters of the server's texts, and of ours.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="modelwire")
    except CommandError as error:
        _fail(error, error.exit_code)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _fail(error, ExitCode.FAILED)


def _fail(error: Exception, code: ExitCode) -> NoReturn:
    print(f"modelwire: {error}", file=sys.stderr)  # noqa: T201 -- the command line's own output
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"modelwire {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(context_settings=_OWN_OPTIONS)
def serve(context: typer.Context) -> None:
    """Run the server, on an embedded database or on PostgreSQL."""
    with server_extra("serve"):
        from .serve import serve_app
    serve_app(args=context.args, prog_name="modelwire serve")


@app.command()
def demo(
    once: Annotated[
        bool,
        typer.Option("--once", help="End after the change has arrived: 0 when all went well, else 1 and the reason."),
    ] = False,
) -> None:
    """Show the whole line on this machine, with one live change.

    Runs a server, an endpoint and three components.

    \b
    modelwire demo
    modelwire demo --once
    """
    with server_extra("demo"):
        from .demo.run import run_demo
    raise typer.Exit(run_demo(once=once))


app.add_typer(config_app)
app.add_typer(fleet_app)
app.add_typer(files_app)
app.add_typer(api_key_app, name="api-key")
app.add_typer(audit_app, name="audit")
app.add_typer(database_app)
# Behind the others in the help.
schema_app = typer.Typer(rich_markup_mode=None)
app.add_typer(schema_app)


@schema_app.command()
def schema(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with this file: 1 and the difference when it drifted.")
    ] = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Print the GraphQL schema, or check that a file holds it.

    \b
    modelwire schema > schema.graphql
    modelwire schema --check schema.graphql
    For code generators that want an introspection result:
      modelwire schema --output json > introspection.json

    \b
    JSON: {"data": {"__schema": {…}}}, what GraphQL's introspection answers.
      With --check: {"file": "schema.graphql", "same": true}
    """
    with server_extra("schema"):
        from .schema_command import check_schema, print_schema
    raise typer.Exit(print_schema(output=output) if check is None else check_schema(check, output=output))
