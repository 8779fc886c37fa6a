"""`modelwire schema`: the GraphQL schema that the code makes, and whether a file still holds it."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import typer

from .. import schema
from .errors import CommandError, ExitCode
from .files import read_file
from .output import Output, print_json


def print_schema(*, output: Output) -> ExitCode:
    """Print it as SDL, sorted, with descriptions; as JSON, the result of an introspection."""
    if output is Output.JSON:
        print_json({"data": schema.introspection()})
    else:
        # A file of a schema is in UTF-8, whatever the terminal is.
        sys.stdout.buffer.write(schema.export().encode())
        sys.stdout.flush()
    return ExitCode.DONE


def check_schema(path: Path, *, output: Output) -> ExitCode:
    """Compare `path` with the code's schema. Raises CommandError: FAILED, after a unified diff, when they differ, and
    USAGE when it cannot be read.
    """
    written = read_file(path)
    made = schema.export()
    if output is Output.JSON:
        print_json({"file": str(path), "same": written == made})
    elif written == made:
        typer.echo(f"{path} is the schema of the code.")
    else:
        difference = difflib.unified_diff(
            written.splitlines(keepends=True), made.splitlines(keepends=True), str(path), "the code's schema"
        )
        sys.stdout.writelines(difference)
    if written == made:
        return ExitCode.DONE
    raise CommandError(f"{path} is not the schema of the code any more: modelwire schema > {path}")
