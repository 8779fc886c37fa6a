"""Tables for people: as wide as the terminal, and as wide as needed where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import typer

from .output import printable

_NO_TERMINAL_COLUMNS = 10_000


class Cell(NamedTuple):
    """A text of a table and how it is shown, as Rich names styles. It may have several lines."""

    text: str
    style: str = ""


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, fixed: Sequence[str] = (), err: bool = False
) -> None:
    """Print the rows below the columns' names. Those that are `fixed` are never broken into lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = sys.stderr if err else sys.stdout
    console = Console(file=stream, highlight=False, width=None if stream.isatty() else _NO_TERMINAL_COLUMNS)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column in fixed, overflow="fold")
    for row in rows:
        cells = (cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
        table.add_row(*(Text("\n".join(map(printable, cell.text.split("\n"))), cell.style) for cell in cells))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip(), err=err)
