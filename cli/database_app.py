"""The commands that work on the database of a server, and their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .errors import CommandError, ExitCode, server_extra
from .options import ConfigFile, OutputForm, Yes
from .output import Output

database_app = typer.Typer(rich_markup_mode=None)
keys_app = typer.Typer(
    help="The keys that seal stored secrets, in the database.", no_args_is_help=True, rich_markup_mode=None
)
database_app.add_typer(keys_app, name="keys")


@keys_app.command("list")
def keys_list(config: ConfigFile = None, output: OutputForm = Output.TABLE) -> None:
    """Show the names of the keys, and how much each seals.

    The keys themselves are never shown.

    \b
    modelwire keys list

    \b
    JSON: {"keys": [{"name": "…", "given": true, "seals": true, "versions": 12,
           "modelConfigs": 4}, …], "source": "/…/modelwire.db.key"}
    """
    with server_extra("keys list"):
        from .keys_command import list_keys
    list_keys(config, output=output)


@keys_app.command("generate")
def keys_generate(output: OutputForm = Output.TABLE) -> None:
    """Print a new random key, for MODELWIRE_ENCRYPTION_KEYS.

    \b
    modelwire keys generate

    \b
    JSON: {"key": "…"}
    """
    with server_extra("keys generate"):
        from .keys_command import generate_key
    generate_key(output=output)


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
    """Seal all secrets again under the first key, while servers run.

    Run it again if it was interrupted. Ends with 1 when some are left, because they do not open or because a server
    still seals under another key.

    \b
    With a key file:
      modelwire keys rotate --new-key
    With MODELWIRE_ENCRYPTION_KEYS, after every server was restarted with the
    new key in front of the old one:
      modelwire keys rotate

    \b
    JSON: {"key": "…", "resealed": 12, "left": 0, "problems": [], "needed": [],
           "unneeded": ["…"], "retiredTo": "…"}
    """
    with server_extra("keys rotate"):
        from .keys_command import rotate_keys
    raise typer.Exit(rotate_keys(config, new=new_key, yes=yes, output=output))


@database_app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the backup goes.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Copy the embedded database to a file, while servers use it.

    The encryption keys are not in it. PostgreSQL has pg_dump for this.

    \b
    modelwire backup /var/backups/modelwire-monday.db

    \b
    JSON: {"file": "…", "revision": "…", "encryptionKeys": ["…"]}
      "encryptionKeys" names the keys without which the secrets in it are lost.
    """
    with server_extra("backup"):
        from .backup_command import make_backup
    make_backup(file, config, force=force, output=output)


@database_app.command()
def restore(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A backup of `modelwire backup`.")] = None,
    renew_identity: Annotated[
        bool,
        typer.Option(
            "--renew-identity", help="Only that: after another tool (pg_restore) put an older state in place."
        ),
    ] = False,
    yes: Yes = False,
    config: ConfigFile = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Put a backup in the place of the embedded database.

    Servers may run meanwhile; subscribers get a reset.

    \b
    modelwire restore /var/backups/modelwire-monday.db
    After pg_restore:
      modelwire restore --renew-identity

    \b
    JSON: {"file": "…", "revision": "…", "encryptionKeys": ["…"]}
      With --renew-identity: {"storeId": "…"}
    """
    with server_extra("restore"):
        from .backup_command import renew, restore_backup
    if (file is None) != renew_identity:
        raise CommandError("give either a backup or --renew-identity", ExitCode.USAGE)
    if file is None:
        renew(config, output=output)
    else:
        restore_backup(file, config, yes=yes, output=output)


@database_app.command()
def migrate(config: ConfigFile = None, output: OutputForm = Output.TABLE) -> None:
    """Bring the database to this version, making it if need be.

    `modelwire serve` does the same at its start.

    \b
    MODELWIRE_DATABASE_URL=postgresql://… modelwire migrate

    \b
    JSON: {"database": "…"}
    """
    with server_extra("migrate"):
        from .serve import migrate_database
    migrate_database(config, output=output)
