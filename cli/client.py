"""GraphQL over HTTP, for the commands that talk to a server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx

from .errors import CommandError, ExitCode

DEFAULT_URL = "http://127.0.0.1:8400"
TIMEOUT_SECONDS = 30.0
# What is on this machine is not reached through the proxy that the environment names.
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_REFUSED = frozenset({"UNAUTHENTICATED", "FORBIDDEN", "LIMIT_EXCEEDED"})


class GraphQLClient:
    """One server and one credential. `url` is the server's address, with or without /graphql at its end.

    Raises CommandError (USAGE) for an address that is none.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise CommandError(f"{url!r} is no address of a server: write it as {DEFAULT_URL}", ExitCode.USAGE)
        if not token.isascii() or not token.isprintable():
            raise CommandError("the token has characters that no API key has", ExitCode.USAGE)
        base = url.rstrip("/")
        self.url = base if base.endswith("/graphql") else f"{base}/graphql"
        self._http = httpx.Client(
            timeout=TIMEOUT_SECONDS,
            trust_env=parts.hostname not in _LOOPBACK,
            headers={
                "authorization": f"Bearer {token}",
                "accept": "application/graphql-response+json, application/json",
            },
        )

    def close(self) -> None:
        self._http.close()

    def execute(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The operation's `data`. Raises CommandError: REFUSED when the server says no, FAILED otherwise."""
        try:
            response = self._http.post(self.url, json={"query": query, "variables": variables or {}})
        except httpx.TransportError as error:
            raise CommandError(f"no server answers at {self.url} ({error}); is `modelwire serve` running?") from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
            raise CommandError(f"{self.url} answered {response.status_code}, and not as a Modelwire server does")
        if errors := answer.get("errors"):
            raise _refusal(errors)
        data: dict[str, Any] = answer["data"]
        return data


def connect(url: str | None, token: str | None) -> GraphQLClient:
    """The client of a command's --url and --token. Raises CommandError (USAGE) when they cannot be used."""
    if not token:
        raise CommandError("an API key is needed: --token, or MODELWIRE_TOKEN", ExitCode.USAGE)
    return GraphQLClient(url or DEFAULT_URL, token)


def _refusal(errors: list[dict[str, Any]]) -> CommandError:
    codes = {error.get("extensions", {}).get("code") for error in errors}
    message = "; ".join(str(error.get("message")) for error in errors)
    return CommandError(message, ExitCode.REFUSED if codes & _REFUSED else ExitCode.FAILED)
