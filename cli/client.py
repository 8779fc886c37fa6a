"""GraphQL over HTTP, for the commands that talk to a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from .errors import CommandError, ExitCode
from .local_token import LOOPBACK, local_token
from .options import DEFAULT_URL
from .output import printable

TIMEOUT_SECONDS = 30.0
_REFUSED = frozenset({"UNAUTHENTICATED", "FORBIDDEN", "LIMIT_EXCEEDED"})


class GraphQLClient:
    """One server and one credential. `url` is the server's address, with or without /graphql at its end; `token` None:
    there is none, which a server with --no-auth does not ask for.

    Raises CommandError (USAGE) for an address that is none.
    """

    def __init__(self, url: str, token: str | None) -> None:
        host = _host(url)
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise CommandError(
                "--token, or MODELWIRE_TOKEN, has characters that no API key has: give it as it was printed, mw_…",
                ExitCode.USAGE,
            )
        base = url.rstrip("/")
        self.url = base if base.endswith("/graphql") else f"{base}/graphql"
        try:
            self._http = httpx.Client(
                # What is on this machine is not reached through the proxy that the environment names.
                trust_env=host not in LOOPBACK,
                headers={
                    "accept": "application/graphql-response+json, application/json",
                    "content-type": "application/json",
                },
            )
        except (ValueError, ImportError) as error:
            raise CommandError(f"the proxy that the environment names cannot be used: {error}") from None
        self._anonymous = token is None
        if token is not None:
            self._http.headers["authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._http.close()

    def execute(
        self, query: str, variables: dict[str, Any] | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> dict[str, Any]:
        """The operation's `data`. Raises CommandError: REFUSED when the server says no, FAILED otherwise."""
        given = json.dumps({"query": query, "variables": variables or {}}, ensure_ascii=False)
        try:
            content = given.encode()
        except UnicodeEncodeError:
            raise CommandError("what was given holds bytes that are no text in UTF-8", ExitCode.USAGE) from None
        timeout = httpx.Timeout(min(TIMEOUT_SECONDS, timeout_seconds), read=timeout_seconds)
        try:
            response = self._http.post(self.url, content=content, timeout=timeout)
        except httpx.ReadTimeout:
            raise CommandError(
                f"{self.url} did not answer within {timeout_seconds:g} s: look at the server's log, and whether it was "
                "done, before you try again"
            ) from None
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
            # UnicodeError: the name can be none of a host.
            raise CommandError(f"no server answers at {self.url} ({error}); is `modelwire serve` running?") from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
            raise CommandError(f"{self.url} answered {response.status_code}, and not as a Modelwire server does")
        if errors := answer.get("errors"):
            raise _errors_refusal(errors, anonymous=self._anonymous)
        data: dict[str, Any] = answer["data"]
        return data


def _host(url: str) -> str:
    """The host of a server's address. Raises CommandError (USAGE) when it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise CommandError(
            f"--url, or MODELWIRE_URL: {url!r} is no address of a server; write it as {DEFAULT_URL}", ExitCode.USAGE
        )
    return parts.hostname


def connect(url: str | None, token: str | None) -> GraphQLClient:
    """The client of a command's --url and --token, or of the token that a server on this machine has left for this
    user. Raises CommandError (USAGE) when they cannot be used.
    """
    url = url or DEFAULT_URL
    return GraphQLClient(url, token or local_token(url))


def refusal(
    result: Mapping[str, Any], what: str = "nothing was changed", exit_code: ExitCode = ExitCode.REFUSED
) -> CommandError:
    """What a mutation's UserError means for the command; `what` is what it means for what was wanted."""
    return CommandError(f"{what}: {printable(result['message'])}", exit_code)


def _errors_refusal(errors: list[dict[str, Any]], *, anonymous: bool) -> CommandError:
    codes = {error.get("extensions", {}).get("code") for error in errors}
    if anonymous and "UNAUTHENTICATED" in codes:
        return CommandError("an API key is needed: --token, or MODELWIRE_TOKEN", ExitCode.USAGE)
    message = printable("; ".join(str(error.get("message")) for error in errors))
    return CommandError(message, ExitCode.REFUSED if codes & _REFUSED else ExitCode.FAILED)
