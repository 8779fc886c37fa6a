"""Waiting until the fleet has spoken of a version: `--wait`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import typer

from ..subscriber.errors import ProtocolError
from .bindings import BINDING, COMPONENT, ROLLOUT, print_users
from .errors import CommandError, ExitCode
from .live import follow, make_link
from .output import printable
from .progress import progress

DOCUMENT = f"""
subscription Rollout($id: ID!) {{
  componentChanged(by: [{{id: $id}}]) {{
    __typename
    complete
    rollouts {{ id {ROLLOUT} }}
    ... on ComponentSnapshot {{ components {{ ...Watched }} }}
    ... on ComponentChange {{ put {{ ...Watched }} removed {{ id }} removedRollouts {{ id }} }}
  }}
}}
fragment Watched on WatchedComponent {{
  {COMPONENT}
  bindings {{ ...Binding }}
}}
{BINDING}
"""


class Waited(StrEnum):
    """How waiting for a version ended."""

    APPLIED = "APPLIED"
    """All components that are connected and use the config run it."""
    REFUSED = "REFUSED"
    """All have spoken of it, and some refused it."""
    SUPERSEDED = "SUPERSEDED"
    """Somebody made a later version before all had spoken of this one."""
    DELETED = "DELETED"
    """Somebody deleted the config."""
    DENIED = "DENIED"
    """The server does not tell it any more."""
    TIMEOUT = "TIMEOUT"
    """Some have not spoken of it in time."""


@dataclass(kw_only=True)
class Rollout:
    """How far one version of a config has come. An `Operation` of the link.

    `counts` are the API's Rollout, None before the first event; `users` the bindings by their component's id. `ended`
    is set, and `how` says how, when there is nothing more to wait for. `on_change` hears of each count.
    """

    config_id: str
    version: int
    on_change: Callable[[Mapping[str, Any]], None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    how: Waited = Waited.TIMEOUT
    counts: dict[str, Any] | None = None
    users: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def request(self) -> Mapping[str, Any]:
        return {"query": DOCUMENT, "operationName": "Rollout", "variables": {"id": self.config_id}}

    def denied(self) -> None:
        """The server refuses to tell it to who we are."""
        self._end(Waited.DENIED)

    def receive(self, data: Any) -> None:
        """Take one event. Raises ProtocolError."""
        try:
            self._take(data["componentChanged"])
        except (KeyError, TypeError):
            raise ProtocolError("the server sent an event that does not fit the question") from None

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["__typename"] == "ComponentSnapshot":
            self.users.clear()
            self._put(event["components"])
        else:
            self._put(event["put"])
            for gone in event["removed"]:
                self.users.pop(gone["id"], None)
            if any(gone["id"] == self.config_id for gone in event["removedRollouts"]):
                self._end(Waited.DELETED)
        for told in event["rollouts"]:
            self.counts = told["rollout"]
        if event["complete"] and self.counts is not None:
            self.on_change(self.counts)
            self._judge(self.counts)

    def _put(self, watched: list[Mapping[str, Any]]) -> None:
        for each in watched:
            component = each["component"]
            self.users[component["id"]] = [{**binding, "component": component} for binding in each["bindings"]]

    def _judge(self, counts: Mapping[str, Any]) -> None:
        # Below it the server has not come as far as the write that it answered: another of its processes did that.
        if counts["version"] > self.version:
            self._end(Waited.SUPERSEDED)
        elif counts["version"] == self.version and counts["pending"] == 0:
            self._end(Waited.REFUSED if counts["refused"] else Waited.APPLIED)

    def _end(self, how: Waited) -> None:
        if not self.ended.is_set():
            self.how = how
            self.ended.set()

    def in_state(self, state: str) -> list[dict[str, Any]]:
        return [binding for bindings in self.users.values() for binding in bindings if binding["state"] == state]


def wait_for_rollout(
    config: Mapping[str, Any], *, timeout_seconds: float, url: str | None, token: str | None
) -> Rollout:
    """Wait until all components that are connected have spoken of this version of the config, showing how far it is.

    Raises CommandError when the user does not want to wait any more.
    """
    try:
        return asyncio.run(_wait(config, timeout_seconds, url, token))
    except KeyboardInterrupt:
        raise CommandError(
            f"interrupted: version {config['version']} is set, and not all have spoken of it; `modelwire get "
            f"{printable(config['alias'])}` shows how far it is"
        ) from None


async def _wait(config: Mapping[str, Any], timeout_seconds: float, url: str | None, token: str | None) -> Rollout:
    link, _ = make_link(url, token)
    with progress(f"Version {config['version']} of {config['alias']}", total=1) as advance:

        def show(counts: Mapping[str, Any]) -> None:
            spoken = counts["applied"] + counts["refused"]
            advance(spoken, spoken + counts["pending"])

        rollout = Rollout(config_id=config["id"], version=config["version"], on_change=show)
        await follow(link, rollout, ended=rollout.ended, on_status=lambda *_: None, timeout_seconds=timeout_seconds)
    return rollout


def code_of(rollout: Rollout) -> ExitCode:
    """What waiting means for the command."""
    return ExitCode.DONE if rollout.how is Waited.APPLIED else ExitCode.REFUSED


def rollout_json(rollout: Rollout) -> dict[str, Any]:
    """What a command with `--wait` adds to its result for programs."""
    users = [binding for bindings in rollout.users.values() for binding in bindings]
    return {"waited": rollout.how, "rollout": rollout.counts, "components": users}


def print_rollout(rollout: Rollout, *, timeout_seconds: float) -> None:
    """Say how far the version came, and who is not there."""
    for line in describe_waited(rollout, timeout_seconds):
        typer.echo(line)
    state = {Waited.REFUSED: "REFUSED", Waited.TIMEOUT: "PENDING"}.get(rollout.how)
    if state is not None and (users := rollout.in_state(state)):
        print_users(users)


def describe_waited(rollout: Rollout, timeout_seconds: float) -> Iterator[str]:
    """The lines that tell a person how waiting ended."""
    counts, version = rollout.counts, f"version {rollout.version}"
    match rollout.how:
        case Waited.DENIED:
            yield "The server does not tell how far it is: that needs a key with the scope component:read."
            return
        case Waited.DELETED:
            yield "It was deleted before all had spoken of it."
            return
        case Waited.SUPERSEDED if counts is not None:
            yield f"Somebody made version {counts['version']} before all had spoken of {version}."
            return
    if counts is None:
        yield f"The server did not tell within {timeout_seconds:g} s how far it is."
        return
    online = counts["applied"] + counts["refused"] + counts["pending"]
    if online == 0:
        yield "No component that is connected uses it."
    elif counts["applied"] == online:
        yield f"All that are connected run {version}: {online}."
    else:
        yield f"{counts['applied']} of {online} that are connected run {version}."
    if counts["refused"]:
        yield f"{counts['refused']} refused it and go on with what they had; `modelwire rollback` makes it undone."
    if rollout.how is Waited.TIMEOUT:
        yield f"{counts['pending']} have not spoken of it within {timeout_seconds:g} s."
    if counts["offline"]:
        yield f"{counts['offline']} that are offline get it when they return."
