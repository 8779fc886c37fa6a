"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .output import Output

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The settings file, instead of ./modelwire.toml.")
]
ServerUrl = Annotated[
    str | None,
    typer.Option("--url", help="The server's address.", envvar="MODELWIRE_URL", show_default="http://127.0.0.1:8400"),
]
Token = Annotated[str | None, typer.Option("--token", help="An API key that may do this.", envvar="MODELWIRE_TOKEN")]
OutputForm = Annotated[Output, typer.Option("--output", help="How to print the result.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The config's alias.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
