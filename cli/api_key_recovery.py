"""`modelwire api-key recover`: the way back in, in the database itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from ..resolvers.api_keys import CreatedApiKey, recover_admin_key
from ..resolvers.errors import Unavailable
from ..server.database import database_name
from .database import opened_store
from .errors import CommandError
from .output import Output, print_json
from .server_settings import server_settings


def recover_key(config: Path | None, *, output: Output) -> None:
    """Make an administrator key and print it. Raises CommandError."""
    settings = server_settings(config)

    async def recover() -> CreatedApiKey:
        async with opened_store(settings) as store:
            return await recover_admin_key(store)

    try:
        made = asyncio.run(recover())
    except Unavailable as error:
        raise CommandError(str(error)) from None
    if output is Output.JSON:
        print_json({"id": made.key.id, "secret": made.secret})
        return
    typer.echo(
        f"Made a new administrator key, {made.key.id}, in {database_name(settings)}; the others are as they were."
    )
    typer.echo("It is shown this once, and only its hash is stored:")
    typer.echo(made.secret)
    typer.echo("Look at the others with `modelwire api-key list`, and revoke those that may be in wrong hands.")
