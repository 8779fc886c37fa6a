"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .completion import complete_alias
from .output import Output

DEFAULT_URL = "http://127.0.0.1:8400"

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The settings file, instead of ./modelwire.toml.")
]
ServerUrl = Annotated[
    str | None,
    typer.Option("--url", help="The server's address.", envvar="MODELWIRE_URL", show_default=DEFAULT_URL),
]
Token = Annotated[str | None, typer.Option("--token", help="An API key that may do this.", envvar="MODELWIRE_TOKEN")]
OutputForm = Annotated[Output, typer.Option("--output", help="How to print the result.")]
Alias = Annotated[str, typer.Argument(metavar="ALIAS", help="The config's alias.", autocompletion=complete_alias)]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait until every component that is connected runs it: 3 when not all do. Needs component:read."
    ),
]
WaitTimeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.0, help="How long to wait for that, in seconds.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
