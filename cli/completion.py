"""What the shell offers behind a command: silent, and quick, whatever goes wrong."""

from __future__ import annotations

import contextlib

import typer

from .errors import CommandError

_TIMEOUT_SECONDS = 1.5

SCOPES = (
    *("model_config:read", "model_config:write", "model_config:test", "model_config:resolve"),
    *("component:read", "component:report", "audit:read", "api_key:admin"),
)
"""What an API key may permit. Kept equal to the server's scopes by a test."""

ALIASES = """
query Aliases($search: String) {
  modelConfigs(first: 100, filter: {search: $search}) { edges { node { alias } } }
}
"""


def complete_alias(context: typer.Context, incomplete: str) -> list[str]:
    """The aliases that begin with this, as the server has them that the command would ask."""
    from .client import connect

    try:
        with contextlib.closing(connect(_given(context, "url"), _given(context, "token"))) as client:
            data = client.execute(ALIASES, {"search": incomplete or None}, timeout_seconds=_TIMEOUT_SECONDS)
    except CommandError:
        return []
    aliases = (edge["node"]["alias"] for edge in data["modelConfigs"]["edges"])
    return [alias for alias in aliases if alias.startswith(incomplete) and alias.isprintable()]


def complete_assignment(incomplete: str) -> list[str]:
    """The keys that `modelwire set` takes, each as far as its value."""
    from .assignments import keys

    found = [key if key.endswith(".") else f"{key}=" for key in keys() if key.startswith(incomplete)]
    # Shells put a blank behind the only one that there is, and the value would stand apart from its key.
    return found if len(found) != 1 else [*found, f"{found[0]}…"]


def complete_scope(incomplete: str) -> list[str]:
    """The scopes that begin with this."""
    return [scope for scope in SCOPES if scope.startswith(incomplete)]


def _given(context: typer.Context, name: str) -> str | None:
    value = context.params.get(name)
    return value if isinstance(value, str) else None
