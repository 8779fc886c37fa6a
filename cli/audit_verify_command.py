"""`modelwire audit verify`: whether the audit log of a database is as it was written."""

from __future__ import annotations

import asyncio
import re
from dataclasses import asdict
from pathlib import Path

import typer

from ..server.database import database_url
from ..store import AuditReport, StoreError, verify_audit_log
from .database import require_database
from .errors import CommandError, ExitCode
from .output import Output, print_json, printable
from .progress import working
from .server_settings import server_settings

_HASH = re.compile(r"[0-9a-f]{64}")


def verify_audit(config: Path | None, *, head: str | None, output: Output) -> ExitCode:
    """Check every row and print what was found, with the head to keep. FAILED when something was done to the log.

    Raises CommandError: USAGE for a head that is none, FAILED when the database cannot be read.
    """
    if head is not None and not _HASH.fullmatch(head):
        raise CommandError("--head must be a hash of 64 hexadecimal digits, as this command prints it", ExitCode.USAGE)
    settings = server_settings(config)
    require_database(settings)
    try:
        with working("Checking the audit log"):
            report = asyncio.run(verify_audit_log(database_url(settings), head=head))
    except StoreError as error:
        raise CommandError(str(error)) from None
    if output is Output.JSON:
        print_json(asdict(report))
    else:
        _print(report, head)
    return ExitCode.FAILED if report.problems else ExitCode.DONE


def _print(report: AuditReport, head: str | None) -> None:
    for problem in report.problems:
        typer.echo(printable(problem))
    if report.problems:
        typer.echo("The audit log was changed from outside: what it says of these rows cannot be trusted.")
        return
    typer.echo(f"{report.rows} rows, each as it was written{'' if head is None else ', up to the given head and on'}.")
    typer.echo(f"Head: {report.head}")
    if head is None:
        typer.echo(
            "Keep the head where who can change this database cannot: with --head it shows that the end was not cut "
            "off and that not all was written anew."
        )
