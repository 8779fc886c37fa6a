"""What values of settings may be, beyond their types. Each raises ValueError, as pydantic's validators do."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from urllib.parse import urlsplit

from ..store import StoreError, database_location

_PORTS = {"http": 80, "https": 443}


def database(url: str) -> str:
    """Check the URL of a database."""
    if url.startswith(("postgresql:", "postgresql+", "postgres:")):
        try:
            database_location(url)
        except StoreError as error:
            raise ValueError(str(error)) from None
        return url
    path = url.removeprefix("sqlite:///")
    if path == url or path in {"", ":memory:"} or "?" in path:
        raise ValueError(
            "write it as sqlite:///FILE, sqlite:////FOLDER/FILE for an absolute path, or "
            "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        )
    return url


def listed(value: object, item: Callable[[object], str]) -> object:
    """The items of a list, or of a text that separates them by commas; anything else as it is."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return [item(part) for part in value] if isinstance(value, list | tuple | frozenset) else value


def origin(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError("an origin is a text such as https://console.example.com")  # noqa: TRY004 -- pydantic's contract
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("an origin has a scheme and a host and nothing behind them, as in https://console.example.com")
    return text


def public_url(url: str) -> str:
    """The address as a browser would write its origin, and without a slash at its end; empty stays empty."""
    if not url:
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    except (KeyError, ValueError):
        host = port = ""
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("write it as https://HOST or https://HOST:PORT/PATH, as browsers show it")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path.rstrip('/')}"


def address_or_network(text: object) -> str:
    try:
        return str(ipaddress.ip_network(str(text)) if "/" in str(text) else ipaddress.ip_address(str(text)))
    except ValueError:
        raise ValueError("a proxy is an IP address, or a network such as 10.0.0.0/8") from None


def host_name(text: object) -> str:
    host = text.strip().strip("[]").lower() if isinstance(text, str) else ""
    if not host or any(char in "/@*?# " for char in host) or (":" in host and host.count(":") < 2):
        raise ValueError("a host is a name or an IP address without scheme and port, as in ollama.example.com")
    return host


def is_loopback(host: str) -> bool:
    """Whether a host name or an address is one by which a machine calls itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def of_kubernetes(value: str | None) -> bool:
    """Kubernetes gives every pod variables for each service; for one named modelwire they look like settings."""
    return value is not None and value.startswith("tcp://")
