"""Which media types a client takes an answer in, by its Accept headers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed;subscriptionSpec=1.0"
"""Without the parameter `multipart/mixed` means something else: results in pieces, of @defer and @stream."""

STREAMS = frozenset({EVENT_STREAM, MULTIPART})


@dataclass(frozen=True, slots=True)
class _Range:
    name: str
    quality: float
    parameters: Mapping[str, str]


# Each client has its own, and sends it with every request.
@lru_cache(maxsize=32)
def acceptable(accept: tuple[str, ...]) -> tuple[str, ...]:
    """The media types to answer with, the best first: the best liked, and of those the one that is named first.

    Empty when the client takes none of ours. Streams must be named: `*/*` means JSON.
    """
    ranges = [_range(item) for header in accept for item in header.split(",") if item.strip()]
    if not ranges:
        return JSON, GRAPHQL_RESPONSE
    liked: list[tuple[float, int, str]] = []
    for media_type in (JSON, GRAPHQL_RESPONSE, EVENT_STREAM, MULTIPART):
        place = _place(media_type, ranges)
        if place is not None and ranges[place].quality > 0:
            liked.append((-ranges[place].quality, place, media_type))
    # The sort is stable, so JSON is first in a range that both JSON types are in.
    return tuple(media_type for *_, media_type in sorted(liked, key=lambda item: item[:2]))


def _place(media_type: str, ranges: Sequence[_Range]) -> int | None:
    """Where the most specific range stands that the type is in: that one says how much the type is liked."""
    if media_type == MULTIPART:
        places = (
            place
            for place, range_ in enumerate(ranges)
            if range_.name == "multipart/mixed" and range_.parameters.get("subscriptionspec") == "1.0"
        )
        return next(places, None)
    patterns = (media_type,) if media_type in STREAMS else (media_type, "application/*", "*/*")
    names = [range_.name for range_ in ranges]
    return next((names.index(pattern) for pattern in patterns if pattern in names), None)


def _range(item: str) -> _Range:
    name, *rest = (part.strip() for part in item.split(";"))
    parameters = {}
    for part in rest:
        key, _, value = part.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 0.0
    return _Range(name.lower(), quality, parameters)
