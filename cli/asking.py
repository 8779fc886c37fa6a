"""Asking a person before something that cannot be taken back."""

from __future__ import annotations

import sys

import typer

from .errors import CommandError, ExitCode


def confirm(question: str, *, unasked: str) -> None:
    """Go on when the answer is yes.

    Raises CommandError: FAILED when it is another; where nobody can be asked, USAGE with the text `unasked`, which
    names the option that answers instead.
    """
    if not sys.stdin.isatty():
        raise CommandError(unasked, ExitCode.USAGE)
    # On standard error: standard output is for the result alone.
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was changed")
