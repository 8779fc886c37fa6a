"""What every part of the schema needs: the context, described resolvers, and scalars of our own."""

from collections.abc import Callable
from typing import Any, NewType, ParamSpec, TypeVar, cast

import strawberry

from ..resolvers.access import Context
from ..store import Position

_P = ParamSpec("_P")
_T = TypeVar("_T")

Info = strawberry.Info[Context, None]

Revision = NewType("Revision", str)
"""A `Position` as clients see it."""


def _parse(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a revision is a string")  # noqa: TRY004 - graphql-core reports ValueError as bad input
    return value


REVISION = strawberry.scalar(
    name="Revision",
    description=(
        "A moment in the order of all changes: a 64-bit counter with the identity of the store, as a string. "
        "Opaque: keep it, and give it back as `since` to go on from there."
    ),
    serialize=str,
    parse_value=_parse,
)


def revision(position: Position) -> Revision:
    """The position as the API says it."""
    return Revision(str(position))


def described(description: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a method a field with this description. Unlike `strawberry.field` it keeps the method's type."""
    return cast(Callable[[Callable[_P, _T]], Callable[_P, _T]], strawberry.field(description=description))


def described_subscription(description: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a method a subscription with this description."""
    return cast(Callable[[Callable[_P, _T]], Callable[_P, _T]], strawberry.subscription(description=description))
