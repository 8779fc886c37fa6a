"""Lists of model configs: filtered, in an order, and by the page. A page begins behind a place, not at a count, so that
it neither repeats nor leaves out a config when others come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, literal, or_, select, tuple_

from .change_log import find_configs
from .database import Connection
from .records import DEFAULT_ALIASES, AliasPatterns, ModelConfig, Selector
from .tables import model_config_changes as changes
from .tables import model_configs as heads

# What SQL cannot tell (globs, upper and lower case of every script) is asked of this many rows at a time.
_CHUNK_ROWS = 1_000

Place = tuple[int | str, ...]
"""The keys that a list is sorted by, of one of its configs."""


class OrderBy(StrEnum):
    """What a list is sorted by; the alias decides among equals."""

    ALIAS = "alias"
    UPDATED_AT = "updatedAt"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which configs a list holds, and its order. None narrows nothing.

    `visible` bounds it to the aliases that the principal may see. `search` is part of the alias, the description or
    the model, in any case.
    """

    visible: AliasPatterns = field(default_factory=AliasPatterns)
    search: str | None = None
    provider: str | None = None
    configured: bool | None = None
    is_default: bool | None = None
    order_by: OrderBy = OrderBy.ALIAS
    descending: bool = False

    def place_of(self, config: ModelConfig) -> Place:
        """Where the config stands in this list."""
        match self.order_by:
            case OrderBy.ALIAS:
                return (config.alias,)
            case OrderBy.UPDATED_AT:
                return (config.revision, config.alias)
            case OrderBy.PROVIDER:
                return (config.provider or "", config.alias)

    def holds(self, config: ModelConfig) -> bool:
        """Whether it is in this list."""
        return (
            _matches(self, config)
            and self.provider in (None, config.provider)
            and self.configured in (None, config.configured)
            and self.is_default in (None, config.is_default)
        )


# Revisions, not dates, say what was written later: clocks are set back, and the change log has an index on these.
_provider = func.coalesce(changes.c.provider, "")
_KEYS: dict[OrderBy, tuple[ColumnElement[Any], ...]] = {
    OrderBy.ALIAS: (heads.c.alias,),
    OrderBy.UPDATED_AT: (changes.c.revision, heads.c.alias),
    OrderBy.PROVIDER: (_provider, heads.c.alias),
}


async def find_page(connection: Connection, listing: Listing, *, first: int, after: Place | None) -> list[ModelConfig]:
    """The first `first` configs of a list, or all there are, behind a place in it."""
    keys = _KEYS[listing.order_by]
    found: list[str] = []
    chunk_rows = first if listing.search is None and _exact(listing.visible) else _CHUNK_ROWS
    while len(found) < first:
        rows = (await connection.execute(_page_of_keys(listing, keys, after).limit(chunk_rows))).all()
        found += [row.id for row in rows if _matches(listing, row)]
        if len(rows) < chunk_rows:
            break
        after = tuple(rows[-1][: len(keys)])
    configs = {config.id: config for config in await find_configs(connection, Selector(ids=frozenset(found[:first])))}
    return [configs[config_id] for config_id in found[:first]]


def _page_of_keys(listing: Listing, keys: Sequence[ColumnElement[Any]], after: Place | None) -> Select[Any]:
    statement = (
        select(*keys, heads.c.id, heads.c.alias, changes.c.description, changes.c.model)
        .select_from(heads)
        .join(
            changes,
            and_(heads.c.id == changes.c.config_id, heads.c.version == changes.c.version),
            # A left join begins with the configs; SQLite would rather sort the whole history of them.
            isouter=listing.order_by is not OrderBy.UPDATED_AT,
        )
        .where(*_conditions(listing))
        .order_by(*(key.desc() if listing.descending else key.asc() for key in keys))
    )
    if after is None:
        return statement
    here, there = tuple_(*keys), tuple_(*(literal(value, key.type) for value, key in zip(after, keys, strict=True)))
    return statement.where(here < there if listing.descending else here > there)


def _conditions(listing: Listing) -> list[ColumnElement[bool]]:
    """What of a listing SQL can tell."""
    conditions: list[ColumnElement[bool]] = []
    if listing.visible.exact is not None:
        conditions.append(heads.c.alias.in_(sorted(listing.visible.exact)))
    if listing.provider is not None:
        # Not the column itself: a condition that null cannot meet makes SQLite take the left join for an inner one.
        conditions.append(_provider == listing.provider if listing.provider else false())
    if listing.configured is not None:
        set_ = and_(changes.c.provider.is_not(None), changes.c.model.is_not(None))
        unset = or_(changes.c.provider.is_(None), changes.c.model.is_(None))
        conditions.append(set_ if listing.configured else unset)
    if listing.is_default is not None:
        default = heads.c.alias.in_(DEFAULT_ALIASES)
        conditions.append(default if listing.is_default else ~default)
    return conditions


def _exact(visible: AliasPatterns) -> bool:
    return visible.patterns is None or visible.exact is not None


def _matches(listing: Listing, row: Any) -> bool:
    if not listing.visible.allows(row.alias):
        return False
    texts = (row.alias, row.description or "", row.model or "")
    return listing.search is None or any(listing.search.casefold() in text.casefold() for text in texts)
