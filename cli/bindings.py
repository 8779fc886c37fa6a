"""Which component runs which version of a model config, as the command line reads and shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .client import GraphQLClient
from .output import printable
from .paging import read_pages
from .tables import Cell, print_table

COMPONENT_READ = "component:read"

COMPONENT = "component { id name instanceId kind libraryVersion online }"
ROLLOUT = "rollout { version applied refused pending offline reasons { reason components } }"
BINDING = """
fragment Binding on ComponentBinding {
  alias modelConfigId state desiredVersion deliveredVersion appliedVersion acknowledgedVersion acknowledgedAt
  outcome reason message
}
"""
USERS = f"""
query Users($id: ID!, $first: Int, $after: String) {{
  node(id: $id) {{
    ... on ModelConfig {{
      {ROLLOUT}
      components(first: $first, after: $after) {{
        edges {{ node {{ ...Binding {COMPONENT} }} }}
        pageInfo {{ hasNextPage endCursor }}
      }}
    }}
  }}
}}
{BINDING}
"""
STATE_STYLES = {"APPLIED": "green", "REFUSED": "red", "PENDING": "yellow", "OFFLINE": "dim", "WAITING": "yellow"}
_INSTANCE_CHARACTERS = 12
_NOBODY: dict[str, Any] = {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}


def read_users(client: GraphQLClient, config_id: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The rollout of a config (None when it was deleted meanwhile), and who uses it. Needs `component:read`."""
    config: dict[str, Any] | None = None

    def components(data: dict[str, Any]) -> Any:
        nonlocal config
        config = data["node"]
        return _NOBODY if config is None else config["components"]

    users, _ = read_pages(client, USERS, {"id": config_id}, components, first=None)
    return None if config is None else config["rollout"], users


def print_users(users: list[dict[str, Any]], *, err: bool = False) -> None:
    """The table of who uses one config."""
    rows = []
    for binding in users:
        component = binding["component"]
        state = Cell(binding["state"].lower(), STATE_STYLES.get(binding["state"], ""))
        runs = "" if binding["appliedVersion"] is None else str(binding["appliedVersion"])
        rows.append((component["name"], instance_text(component), state, runs, _reason(binding)))
    print_table(
        ("COMPONENT", "INSTANCE", "STATE", "RUNS", "REASON"), rows, fixed=("INSTANCE", "STATE", "RUNS"), err=err
    )


def instance_text(component: Mapping[str, Any]) -> str:
    """Enough of the instance id for people to tell processes apart."""
    return str(component["instanceId"])[:_INSTANCE_CHARACTERS]


def describe_rollout(rollout: Mapping[str, Any]) -> str:
    """How far a version has come, in one line."""
    counts = (f"{rollout[name]} {name}" for name in ("applied", "refused", "pending", "offline") if rollout[name])
    return ", ".join(counts) or "no component uses it"


def describe_binding(binding: Mapping[str, Any]) -> str:
    """What a component does with one alias, in one line."""
    return printable(f"{binding['alias']} {' '.join(_told(binding))}")


def _told(binding: Mapping[str, Any]) -> Iterator[str]:
    applied, desired = binding["appliedVersion"], binding["desiredVersion"]
    if applied is not None:
        yield str(applied)
    match binding["state"]:
        case "WAITING":
            yield "(does not exist yet)"
        case "PENDING":
            yield f"→ {desired} (pending)"
        case "REFUSED":
            yield f"→ {desired} (refused: {binding['reason'] or 'no reason given'})"
        case "OFFLINE" if applied != desired:
            yield f"→ {desired}"


def _reason(binding: Mapping[str, Any]) -> str:
    """Why the last version was refused; the message of the subscriber begins with the class."""
    if binding["state"] != "REFUSED":
        return ""
    reason, message = binding["reason"] or "", binding["message"] or ""
    return message if message.startswith(reason) and message else f"{reason}: {message}".strip(": ")
