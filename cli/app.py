"""The commands and their arguments. Each loads what it needs when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from .api_key_app import api_key_app
from .errors import CommandError, ExitCode, server_extra
from .options import ConfigFile, OutputForm, ServerUrl, Token
from .output import Format, Output

app = typer.Typer(
    name="modelwire",
    help="Model configurations for fleets of LLM agents, and the wire that brings every change to each of them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_OWN_OPTIONS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run() -> None:
    """Run the command line that the process was started with, and exit with its code."""
    try:
        app(prog_name="modelwire")
    except CommandError as error:
        print(f"modelwire: {error}", file=sys.stderr)  # noqa: T201 -- the command line's own output
        sys.exit(error.exit_code)


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
    """Run the server: the GraphQL API, on an embedded database or on PostgreSQL."""
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
    """Show the whole line on this machine: a server, an endpoint, three components, and one live change."""
    with server_extra("demo"):
        from .demo.run import run_demo
    raise typer.Exit(run_demo(once=once))


@app.command("import")
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
    """Import model configs from files. Each file is taken whole, in one transaction, or not at all.

    An entry that cannot be taken is shown with its reason and what to do about it; such entries do not fail the import.
    Configs that a file does not name stay as they are.
    """
    from .import_command import import_files

    raise typer.Exit(import_files(files, dry_run=dry_run, url=url, token=token, output=output))


@app.command()
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
    """Write the model configs as a file, for `modelwire apply`. Sealed secrets are named in it and never shown."""
    from .export_command import export_configs

    export_configs(form, file=file, url=url, token=token, output=output)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that says what is wanted.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Make the model configs what a file says: show the plan, ask, and do it in one transaction.

    Configs that the file does not name are deleted, default aliases excepted. Ends with 3, and nothing is done, when
    anybody changed a config after the plan was shown.
    """
    from .apply_command import apply_file

    raise typer.Exit(apply_file(file, yes=yes, url=url, token=token, output=output))


@app.command()
def history(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The config's alias.")],
    first: Annotated[int, typer.Option("--first", min=1, help="How many versions to show.")] = 20,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the versions of a model config, newest first, and what each changed. Secrets are only said to change."""
    from .history_command import show_history

    show_history(alias, first=first, url=url, token=token, output=output)


@app.command()
def rollback(
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The config's alias.")],
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version to go back to, of its history.")],
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Give a model config the content of an old version, as a new version.

    Its credentials stay if provider, kind of auth and address are the same, and are dropped otherwise; old ones never
    come back.
    """
    from .rollback_command import roll_back

    roll_back(alias, version, url=url, token=token, output=output)


@app.command()
def schema(
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with this file: 1 and the difference when it drifted.")
    ] = None,
) -> None:
    """Print the GraphQL schema, or check that a file holds it."""
    with server_extra("schema"):
        from .schema_command import check_schema, print_schema
    raise typer.Exit(print_schema() if check is None else check_schema(check))


app.add_typer(api_key_app, name="api-key")

keys_app = typer.Typer(
    help="The keys that seal stored secrets. These commands work on the database, beside a server that runs.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(keys_app, name="keys")


@keys_app.command("list")
def keys_list(config: ConfigFile = None, output: OutputForm = Output.TABLE) -> None:
    """Show the names of the keys, and how much each seals. Never the keys themselves."""
    with server_extra("keys list"):
        from .keys_command import list_keys
    list_keys(config, output=output)


@keys_app.command("generate")
def keys_generate() -> None:
    """Print a new random key, for MODELWIRE_ENCRYPTION_KEYS."""
    with server_extra("keys generate"):
        from .keys_command import generate_key
    generate_key()


@keys_app.command("rotate")
def keys_rotate(
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Make a new key in the key file first; the old one leaves it afterwards.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="All servers have the first key of MODELWIRE_ENCRYPTION_KEYS: do not ask."),
    ] = False,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Seal all stored secrets again under the first key, while servers run. Run it again if it was interrupted.

    Ends with 1 when some are left, because they do not open or because a server still seals under another key.
    """
    with server_extra("keys rotate"):
        from .keys_command import rotate_keys
    raise typer.Exit(rotate_keys(config, new=new_key, yes=yes, output=output))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the backup goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Copy the embedded database to a file, while servers use it. The encryption keys are not in it."""
    with server_extra("backup"):
        from .backup_command import make_backup
    make_backup(file, config, force=force, output=output)


@app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A backup of `modelwire backup`.")] = None,
    renew_identity: Annotated[
        bool,
        typer.Option(
            "--renew-identity", help="Only that: after another tool (pg_restore) put an older state in place."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Put a backup in the place of the embedded database. Servers may run meanwhile; subscribers get a reset."""
    with server_extra("restore"):
        from .backup_command import renew, restore_backup
    if (file is None) != renew_identity:
        raise CommandError("give either a backup or --renew-identity", ExitCode.USAGE)
    if file is None:
        renew(config, output=output)
    else:
        restore_backup(file, config, yes=yes, output=output)


@app.command()
def migrate(config: ConfigFile = None) -> None:
    """Bring the database to this version, making it when there is none. `serve` does the same at its start."""
    with server_extra("migrate"):
        from .serve import migrate_database
    typer.echo(migrate_database(config))


audit_app = typer.Typer(
    help="The audit log: who did what, and who was denied.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(audit_app, name="audit")


@audit_app.command("log")
def audit_log(
    first: Annotated[int, typer.Option("--first", min=1, help="How many entries to show.")] = 50,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the newest entries of the audit log. Needs a key with the scope audit:read."""
    from .audit_command import show_audit_log

    show_audit_log(first=first, url=url, token=token, output=output)


@audit_app.command("verify")
def audit_verify(
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="A head that an earlier run printed and you kept.")
    ] = None,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Check the audit log in the database: 1, and the rows that were changed, removed or inserted, if any were.

    Prints the head, the hash of the last row. With --head it also finds that the end was cut off after it was printed,
    or that the whole log was written anew.
    """
    with server_extra("audit verify"):
        from .audit_verify_command import verify_audit
    raise typer.Exit(verify_audit(config, head=head, output=output))


__all__ = ["ExitCode", "app", "run"]
