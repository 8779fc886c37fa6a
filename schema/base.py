"""What every part of the schema needs: the context, described resolvers, and scalars of our own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, NewType, ParamSpec, Self, TypeVar, cast

import strawberry
from strawberry import Maybe
from strawberry.schema.types.base_scalars import DateTimeDefinition

from ..resolvers.access import Context
from ..store import Position

_P = ParamSpec("_P")
_T = TypeVar("_T")

Info = strawberry.Info[Context, None]

Revision = NewType("Revision", str)
"""A `Position` as clients see it."""


First = Annotated[Maybe[int | None], strawberry.argument(description="How many, 1 to 100; 50 when absent or null.")]
After = Annotated[
    Maybe[str | None],
    strawberry.argument(description="The cursor behind which to begin, of an earlier page of this list in this order."),
]
"""The arguments of a connection."""


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


DATE_TIME = replace(
    DateTimeDefinition,
    description="A moment with its time zone, as ISO 8601 has it: `2026-05-01T12:00:00+00:00`. What the API gives is "
    "UTC.",
)


def revision(position: Position) -> Revision:
    """The position as the API says it."""
    return Revision(str(position))


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follow; ask with `after: endCursor`.")
    has_previous_page: bool = strawberry.field(description="Whether this page was asked for with `after`.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor; null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The last edge's cursor; null on an empty page.")

    @classmethod
    def of(cls, cursors: Sequence[str], *, has_next: bool, after: str | None) -> Self:
        """Of the page that was asked for with this `after` and has edges with these cursors."""
        return cls(
            has_next_page=has_next,
            has_previous_page=after is not None,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )


def described(description: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a method a field with this description. Unlike `strawberry.field` it keeps the method's type."""
    return cast(Callable[[Callable[_P, _T]], Callable[_P, _T]], strawberry.field(description=description))


def described_subscription(description: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a method a subscription with this description."""
    return cast(Callable[[Callable[_P, _T]], Callable[_P, _T]], strawberry.subscription(description=description))
