"""Where a server's websocket is."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from .errors import ConfigurationError

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PATH = "/graphql"


def websocket_url(url: str) -> str:
    """Give the address of the websocket for the server's address. Raises ConfigurationError.

    A path in front of `/graphql` is kept, and `/graphql` itself is not appended twice.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ConfigurationError(f"the server's address {url!r} cannot be read") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the server's address holds a user or password: give the credential as token instead")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"the server's address {url!r} is none: it looks like http://127.0.0.1:8400")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"the server's address {url!r} ends in a query or fragment: leave it out")
    path = parts.path.rstrip("/")
    path = path if path.endswith(_PATH) else path + _PATH
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, "", ""))
