"""What a component says of a version that it was sent: that it runs it, or why it does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..store import Acknowledgement, ModelConfig, Outcome, Position, Selector, component_id, tracing
from .access import Context, Scope
from .errors import InvalidInput, NotFound, Unavailable, no_such_config, translates_store_errors
from .validation import can_be_stored

MAX_REASON = 100
MAX_MESSAGE = 1_000
MAX_SECONDS_AGO = 86_400.0

_REASON = re.compile(r"[a-z0-9_]+(:[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AcknowledgeRequest:
    """What a component says. `instance_id` is what it calls itself, `id` and `version` are of the config.

    `seconds_ago` is how long ago it did what it says.
    """

    instance_id: str
    id: str
    version: int
    outcome: Outcome
    reason: str | None = None
    message: str | None = None
    seconds_ago: float = 0.0


@translates_store_errors
async def acknowledge(context: Context, request: AcknowledgeRequest) -> Acknowledgement:
    """Note what the caller's own component says; returns when it is written. An older version than the last one that
    it spoke of changes nothing.

    Raises Forbidden, InvalidInput, NotFound for a component of somebody else, and for a config that the caller may not
    see.
    """
    context.principal.require(Scope.COMPONENT_REPORT)
    reports = context.reports
    if reports is None:
        raise Unavailable("nobody here takes acknowledgements")
    if request.reason is not None and (len(request.reason) > MAX_REASON or not _REASON.fullmatch(request.reason)):
        raise InvalidInput(
            f"reason must be a class of at most {MAX_REASON} characters, such as `missing_secret` or "
            "`probe_failed:authentication`: lower-case letters, digits, `_` and `:`; `message` is for people",
            ("input", "reason"),
        )
    if request.seconds_ago < 0:
        raise InvalidInput("secondsAgo must be 0 or more: nobody did it in the future", ("input", "secondsAgo"))
    # Whose it is, is part of the id: nobody can speak for the component of another.
    own = component_id(context.principal.subject, request.instance_id)
    if not reports.knows(own) and not await context.store.components.has(own):
        raise NotFound(
            "no component of yours has this instance id: a component is known once it has opened a websocket and said "
            "in `connection_init` who it is",
            ("input", "instanceId"),
        )
    config = await _config(context, request)
    acknowledgement = Acknowledgement(
        component_id=own,
        config_id=config.id,
        version=request.version,
        outcome=request.outcome,
        reason=request.reason,
        message=None if request.message is None else _for_people(request.message),
        at=datetime.now(UTC) - timedelta(seconds=min(request.seconds_ago, MAX_SECONDS_AGO)),
    )
    known = [str(Position(context.store.id, config.revision))] if config.version == request.version else []
    spoken = tracing.begin("modelwire.acknowledge", known, **{"modelwire.outcome": request.outcome.value})
    await reports.acknowledge(acknowledgement)
    spoken()
    return acknowledgement


async def _config(context: Context, request: AcknowledgeRequest) -> ModelConfig:
    """The config that it is about, from memory where that suffices: a whole fleet speaks at the same time."""
    remembered = context.store.mirror.snapshot(Selector(ids=frozenset({request.id})))
    config = next(iter(remembered.configs), None) if remembered is not None else None
    if (config is None or config.version < request.version) and can_be_stored(request.id):
        config = await context.store.find(id=request.id)
    if config is None or not context.principal.aliases.allows(config.alias):
        raise no_such_config()
    if not 1 <= request.version <= config.version:
        raise InvalidInput(
            f"version must be one that there was: the config is at version {config.version}", ("input", "version")
        )
    return config


def _for_people(message: str) -> str:
    """As much of it as is worth keeping, on one line, without what no database takes."""
    text = " ".join("".join(char if can_be_stored(char) else " " for char in message[: 4 * MAX_MESSAGE]).split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
