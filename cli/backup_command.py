"""`modelwire backup` and `restore`: the embedded database, while servers use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from ..server.database import StartError, database_name, database_url, read_keyring
from ..server.settings import Settings
from ..store import Copied, StoreError, UnknownKey, back_up, renew_identity, restore
from .asking import confirm
from .database import require_database
from .errors import CommandError, ExitCode
from .output import Output, print_json
from .progress import working
from .server_settings import server_settings


def make_backup(file: Path, config: Path | None, *, force: bool, output: Output) -> None:
    """Back the database up to a file, and say what else is needed. Raises CommandError, REFUSED for a file that is
    there.
    """
    settings = server_settings(config)
    require_database(settings)
    if file.exists() and not force:
        raise CommandError(f"{file} is there already: give another name, or --force", ExitCode.REFUSED)
    with _errors_told(), working(f"Copying to {file}"):
        copied = back_up(database_url(settings), file, replace=force)
    if output is Output.JSON:
        _print_json(file, copied)
        return
    typer.echo(f"Revision {copied.position.revision} of {database_name(settings)} is in {file}.")
    if copied.key_names:
        typer.echo(
            f"Its secrets are sealed under {', '.join(copied.key_names)}: keep {_keys(settings)} as well, and not in "
            "the same place. Without them the secrets are lost; with them, whoever has the backup can read them."
        )


def restore_backup(file: Path, config: Path | None, *, yes: bool, output: Output) -> None:
    """Put a backup in the place of the database, after asking. Raises CommandError."""
    settings = server_settings(config)
    if not yes:
        confirm(
            f"Replace all that is in {database_name(settings)}?",
            unasked="restoring replaces all that is in the database: say so with --yes",
        )
    with _errors_told(), working(f"Restoring {file}"):
        try:
            copied = asyncio.run(restore(database_url(settings), file, read_keyring(settings)))
        except UnknownKey as error:
            raise CommandError(f"{error}.{_retired_keys(settings)} Nothing was changed") from None
    if output is Output.JSON:
        _print_json(file, copied)
        return
    typer.echo(
        f"{database_name(settings)} has the state of the backup, revision {copied.position.revision}. Servers that run "
        "go on with it, and subscribers get it as a reset."
    )
    typer.echo("API keys are those of the backup: keys made since are gone, keys revoked since are valid again.")


def renew(config: Path | None, *, output: Output) -> None:
    """Have every subscriber get the state of the database anew. Raises CommandError."""
    settings = server_settings(config)
    require_database(settings)
    with _errors_told():
        store_id = renew_identity(database_url(settings))
    if output is Output.JSON:
        print_json({"storeId": store_id})
    else:
        typer.echo(f"{database_name(settings)} has a new identity: subscribers get its state as a reset.")


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except (StoreError, StartError) as error:
        raise CommandError(str(error)) from None


def _print_json(file: Path, copied: Copied) -> None:
    print_json({"file": str(file), "revision": str(copied.position), "encryptionKeys": list(copied.key_names)})


def _keys(settings: Settings) -> str:
    if settings.encryption_keys is not None:
        return "these keys of MODELWIRE_ENCRYPTION_KEYS"
    return f"the key file {settings.key_file}"


def _retired_keys(settings: Settings) -> str:
    retired = settings.key_file.with_name(f"{settings.key_file.name}.retired")
    if settings.encryption_keys is not None or not retired.exists():
        return ""
    return f" If it was rotated away after the backup, it is in {retired}: put it behind those in the key file."
