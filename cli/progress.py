"""What is shown while something takes long: on standard error, and only to a person at a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from .output import printable

Advance = Callable[[float, float], None]
"""Say how much is done, and of how much."""


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Around a wait of unknown length."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(file=sys.stderr, highlight=False).status(Text(f"{printable(what)} …")):
        yield


@contextlib.contextmanager
def progress(what: str, total: float) -> Iterator[Advance]:
    """Around work that comes in pieces; gives the function that is told of them."""
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(file=sys.stderr, highlight=False), transient=True) as bar:
        task = bar.add_task(printable(what), total=total)

        def advance(done: float, total: float) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


def _nothing(done: float, total: float) -> None:
    """For where nobody looks."""
