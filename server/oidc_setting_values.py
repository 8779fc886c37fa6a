"""What values of the settings of OIDC may be, as `setting_values.py` says it of others. Each raises ValueError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..resolvers.access import Scope
from .oidc import ALGORITHMS, EVERYTHING
from .setting_values import is_loopback


def issuer(url: str) -> str:
    """Check the URL of an issuer; empty: there is none."""
    if not url:
        return url
    parts = urlsplit(url)
    whole = parts.hostname and not (parts.query or parts.fragment or parts.username or parts.password)
    if not whole or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise ValueError(
            "write it as the issuer writes itself in `iss`, as in https://login.example.com/realms/agents; "
            "http is for loopback alone"
        )
    return url


def algorithm(name: object) -> str:
    """Check one of the algorithms."""
    if name not in ALGORITHMS:
        raise ValueError(f"an algorithm is one of {', '.join(sorted(ALGORITHMS))}")
    return str(name)


def scope_map(value: object) -> dict[str, frozenset[str]]:
    """Read the table of words and their scopes, or its JSON."""
    form = """write it as {"WORD": ["SCOPE", …]}"""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else {}
        except ValueError:
            raise ValueError(f"this is no JSON: {form}") from None
    if not isinstance(value, Mapping) or not all(isinstance(scopes, list | frozenset) for scopes in value.values()):
        raise ValueError(form)
    known = {EVERYTHING, *(scope.value for scope in Scope)}
    for word, scopes in value.items():
        if not all(isinstance(scope, str) and scope in known for scope in scopes):
            raise ValueError(f"{word!r} has a scope that does not exist; there are: {', '.join(sorted(known))}")
    return {word: frozenset(scopes) for word, scopes in value.items()}
