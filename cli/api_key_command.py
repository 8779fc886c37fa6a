"""`modelwire api-key`: making, listing and revoking API keys, through a server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from .client import connect, refusal
from .errors import CommandError, ExitCode
from .output import Output, print_json, printable
from .paging import read_pages

_FIELDS = "id name scopes aliases createdAt createdBy expiresAt lastUsedAt revokedAt"
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

CREATE = f"""
mutation Create($input: CreateApiKeyInput!) {{
  createApiKey(input: $input) {{
    __typename
    ... on CreateApiKeyPayload {{ secret apiKey {{ {_FIELDS} }} }}
    ... on UserError {{ message path }}
  }}
}}
"""
LIST = f"""
query List($first: Int, $after: String) {{
  apiKeys(first: $first, after: $after) {{
    edges {{ node {{ {_FIELDS} }} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
REVOKE = f"""
mutation Revoke($input: RevokeApiKeyInput!) {{
  revokeApiKey(input: $input) {{
    __typename
    ... on RevokeApiKeyPayload {{ apiKey {{ {_FIELDS} }} }}
    ... on UserError {{ message path }}
  }}
}}
"""


def create_key(
    name: str,
    *,
    scopes: list[str],
    aliases: list[str] | None,
    expires: str | None,
    url: str | None,
    token: str | None,
    output: Output,
) -> None:
    """Make a key and print it. Raises CommandError: USAGE for an `expires` that is none, REFUSED by the server."""
    given: dict[str, Any] = {"name": name, "scopes": scopes}
    if aliases:
        given["aliases"] = aliases
    if expires is not None:
        given["expiresAt"] = moment(expires, now=datetime.now(UTC)).isoformat()
    with contextlib.closing(connect(url, token)) as client:
        result = client.execute(CREATE, {"input": given})["createApiKey"]
    if result["__typename"] != "CreateApiKeyPayload":
        raise refusal(result, "no key was made")
    if output is Output.JSON:
        print_json({"apiKey": result["apiKey"], "secret": result["secret"]})
        return
    typer.echo(describe_key(result["apiKey"]))
    typer.echo("The key is shown this once, and only its hash is stored:")
    typer.echo(result["secret"])


def moment(text: str, *, now: datetime) -> datetime:
    """What `--expires` means: so many minutes, hours or days from now, or a moment. Raises CommandError (USAGE)."""
    duration = _DURATION.fullmatch(text)
    try:
        at = now + timedelta(**{_UNITS[duration[2]]: int(duration[1])}) if duration else datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise CommandError(
            f"--expires {text!r}: write 30m, 12h, 90d, or a moment with its time zone as 2030-01-01T00:00:00Z",
            ExitCode.USAGE,
        )
    return at


def list_keys(*, first: int, url: str | None, token: str | None, output: Output) -> None:
    """Show up to `first` keys, the newest first. Raises CommandError."""
    with contextlib.closing(connect(url, token)) as client:
        keys, more = read_pages(client, LIST, {}, lambda data: data["apiKeys"], first=first)
    if output is Output.JSON:
        print_json({"apiKeys": keys, "more": more})
        return
    for key in keys:
        typer.echo(describe_key(key))
    if more:
        typer.echo("There are older keys: show more with --first.")


def revoke_key(id: str, *, force: bool, url: str | None, token: str | None, output: Output) -> None:  # noqa: A002 - the API's name
    """Revoke a key. Raises CommandError: USAGE for a whole key, FAILED when there is none, REFUSED by the server."""
    if id.startswith("mw_"):
        raise CommandError("give the key's id alone, the part between its two underscores", ExitCode.USAGE)
    with contextlib.closing(connect(url, token)) as client:
        result = client.execute(REVOKE, {"input": {"id": id, "force": force}})["revokeApiKey"]
    if result["__typename"] != "RevokeApiKeyPayload":
        unknown = result["__typename"] == "NotFound"
        raise refusal(result, "nothing was revoked", ExitCode.FAILED if unknown else ExitCode.REFUSED)
    if output is Output.JSON:
        print_json({"apiKey": result["apiKey"]})
        return
    typer.echo(describe_key(result["apiKey"]))


def describe_key(key: dict[str, Any]) -> str:
    """The line that tells a person of one key."""
    return printable("  ".join([key["id"], key["name"], *_told(key)]))


def _told(key: dict[str, Any]) -> Iterator[str]:
    if key["revokedAt"] is not None:
        yield f"REVOKED {key['revokedAt']}"
    yield ", ".join(key["scopes"])
    yield "all aliases" if key["aliases"] is None else f"aliases {', '.join(key['aliases'])}"
    yield f"made {key['createdAt']} by {key['createdBy']}"
    yield "never expires" if key["expiresAt"] is None else f"expires {key['expiresAt']}"
    yield "not used yet" if key["lastUsedAt"] is None else f"last used {key['lastUsedAt']}"
