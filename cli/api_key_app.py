"""`modelwire api-key`: the commands and their arguments."""

from __future__ import annotations

from typing import Annotated

import typer

from .completion import SCOPES, complete_alias, complete_scope
from .errors import server_extra
from .options import ConfigFile, OutputForm, ServerUrl, Token
from .output import Output

api_key_app = typer.Typer(
    help="The keys with which people and components sign in. Needs a key with the scope api_key:admin.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@api_key_app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
    scopes: Annotated[
        list[str],
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help=f"What it permits, of {', '.join(SCOPES)}; may be given several times.",
            autocompletion=complete_scope,
        ),
    ],
    aliases: Annotated[
        list[str] | None,
        typer.Option(
            "--alias",
            metavar="ALIAS",
            help="An alias that it opens, * stands for any text; may be given several times. All without any.",
            autocompletion=complete_alias,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="When it ends: 90d, 12h, or 2030-01-01T00:00:00Z. Never without."),
    ] = None,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Make an API key and print it, this once. It permits no more than the key that makes it.

    \b
    One for a component, which opens what it needs and nothing else:
      modelwire api-key create "orders agent" --alias general --alias "orders/*" \\
        --scope model_config:read --scope model_config:resolve \\
        --scope component:report
    One for a person who looks around for a day:
      modelwire api-key create ada --scope model_config:read \\
        --scope audit:read --expires 24h
    Into a file, without showing it:
      modelwire api-key create ci --scope model_config:write --output json \\
        | jq -r .secret > token

    \b
    JSON: {"apiKey": {"id": "…", "name": "ci", "scopes": ["…"], …},
           "secret": "mw_…"}
    """
    from .api_key_command import create_key

    create_key(name, scopes=scopes, aliases=aliases, expires=expires, url=url, token=token, output=output)


@api_key_app.command("list")
def list_(
    first: Annotated[int, typer.Option("--first", min=1, help="How many keys to show.")] = 100,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Show the API keys, the newest first, revoked and expired ones too. Never the keys themselves.

    \b
    The ids of the keys that nobody has used yet:
      modelwire api-key list --output json \\
        | jq -r '.apiKeys[] | select(.lastUsedAt == null) | .id'

    \b
    JSON: {"apiKeys": [{"id": "…", "name": "ci", "scopes": ["…"], …}, …],
           "more": false}
    """
    from .api_key_command import list_keys

    list_keys(first=first, url=url, token=token, output=output)


@api_key_app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, the part between its two underscores.")],  # noqa: A002 -- the argument's name
    force: Annotated[bool, typer.Option("--force", help="Also the last key with which keys can be made.")] = False,
    url: ServerUrl = None,
    token: Token = None,
    output: OutputForm = Output.TABLE,
) -> None:
    """Revoke an API key, for ever. What is open with it is closed, on every server, within two seconds.

    \b
    modelwire api-key revoke k3j9x2q8ab

    \b
    JSON: {"apiKey": {"id": "…", "revokedAt": "…", …}}
    """
    from .api_key_command import revoke_key

    revoke_key(id, force=force, url=url, token=token, output=output)


@api_key_app.command()
def recover(config: ConfigFile = None, output: OutputForm = Output.TABLE) -> None:
    """Make one more administrator key, when all are lost: on the server's machine, in the database itself.

    Needs no key, but the database and the encryption keys of the server, whose settings it reads. Servers may run
    meanwhile. The audit log remembers it as api_key.recover.

    \b
    modelwire api-key recover

    \b
    JSON: {"id": "…", "secret": "mw_…"}
    """
    with server_extra("api-key recover"):
        from .api_key_recovery import recover_key
    recover_key(config, output=output)
