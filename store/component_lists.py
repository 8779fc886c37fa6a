"""Reading components: by the page, for many configs or components at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, exists, func, literal, select, tuple_

from .component_records import Binding, BindingState, Component, ConfigRollout, Member, Outcome, Rollout
from .database import Connection
from .records import AliasPatterns
from .tables import acknowledgements as acks
from .tables import bindings, component_servers, components
from .tables import model_configs as heads


class BindingsOf(StrEnum):
    """Whose bindings are asked for."""

    CONFIG = "config"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentListing:
    """Which components a list holds; None narrows nothing. `visible` bounds it to those that use such an alias."""

    visible: AliasPatterns = field(default_factory=AliasPatterns)
    name: str | None = None
    kind: str | None = None
    alias: str | None = None
    online: bool | None = None


# A config that was renamed while the component was away is seen under its present name.
_alias = func.coalesce(heads.c.alias, bindings.c.alias)
_of_component = (
    components.c.id,
    components.c.instance_id,
    components.c.name,
    components.c.kind,
    components.c.library_version,
    components.c.labels,
    components.c.subject,
    components.c.connected_at,
)


async def components_page(
    connection: Connection, listing: ComponentListing, *, now: datetime, first: int, after: tuple[str, str] | None
) -> list[Component]:
    """See `Components.page`."""
    conditions: list[ColumnElement[bool]] = []
    for column, value in ((components.c.name, listing.name), (components.c.kind, listing.kind)):
        if value is not None:
            conditions.append(column == value)
    if listing.online is not None:
        conditions.append(_online(now) if listing.online else ~_online(now))
    aliases = await _aliases(connection, listing.visible)
    if listing.alias is not None:
        aliases = [listing.alias] if listing.visible.allows(listing.alias) else []
    if aliases is not None:
        uses = exists().select_from(bindings.outerjoin(heads, heads.c.id == bindings.c.config_id))
        conditions.append(uses.where(bindings.c.component_id == components.c.id, _alias.in_(aliases)))
    if after is not None:
        conditions.append(tuple_(components.c.name, components.c.id) > tuple_(*map(literal, after)))
    statement = (
        select(*_of_component, _disconnected_at(now))
        .select_from(_with_servers(components))
        .where(*conditions)
        .order_by(components.c.name, components.c.id)
        .limit(first)
    )
    return [_component(row) for row in await connection.execute(statement)]


async def bindings_page(
    connection: Connection,
    of: BindingsOf,
    ids: Collection[str],
    *,
    visible: AliasPatterns,
    now: datetime,
    first: int,
    after: tuple[str, str, str] | None,
) -> Mapping[str, list[Binding]]:
    """See `Components.bindings`."""
    owner = bindings.c.config_id if of is BindingsOf.CONFIG else bindings.c.component_id
    keys = (components.c.name, components.c.id, bindings.c.reference)
    conditions: list[ColumnElement[bool]] = [owner.in_(sorted(ids))]
    if (aliases := await _aliases(connection, visible)) is not None:
        conditions.append(_alias.in_(aliases))
    if after is not None:
        conditions.append(tuple_(*keys) > tuple_(*map(literal, after)))
    ranked = (
        _bindings(now)
        .add_columns(owner.label("owner"), func.row_number().over(partition_by=owner, order_by=keys).label("rank"))
        .where(*conditions)
        .subquery()
    )
    page = select(ranked).where(ranked.c.rank <= first).order_by(ranked.c.owner, ranked.c.rank)
    found: dict[str, list[Binding]] = defaultdict(list)
    for row in await connection.execute(page):
        found[row.owner].append(_binding(row))
    return found


async def members(connection: Connection, ids: Collection[str], *, now: datetime) -> Mapping[str, Member]:
    """Those of these components (at most 500) that are there, with all their bindings."""
    columns = (*_of_component, _disconnected_at(now))
    statement = select(*columns).select_from(_with_servers(components)).where(components.c.id.in_(sorted(ids)))
    found = {row.id: _component(row) for row in await connection.execute(statement)}
    bound: dict[str, list[Binding]] = defaultdict(list)
    theirs = _bindings(now).where(bindings.c.component_id.in_(sorted(ids))).order_by(bindings.c.reference)
    for row in await connection.execute(theirs):
        bound[row.id].append(_binding(row))
    return {id_: Member(component=each, bindings=tuple(bound[id_])) for id_, each in found.items()}


async def using(connection: Connection, config_id: str, *, now: datetime, first: int) -> list[Binding]:
    """The first bindings of a config whose components are connected."""
    statement = (
        _bindings(now)
        .where(bindings.c.config_id == config_id, _online(now))
        .order_by(components.c.name, components.c.id, bindings.c.reference)
        .limit(first)
    )
    return [_binding(row) for row in await connection.execute(statement)]


async def rollouts(connection: Connection, config_ids: Collection[str], *, now: datetime) -> Mapping[str, Rollout]:
    """See `Components.rollouts`."""
    # A component that watches a config by its alias and by its id uses it once.
    used = (
        select(bindings.c.component_id, bindings.c.config_id)
        .where(bindings.c.config_id.in_(sorted(config_ids)))
        .distinct()
        .subquery()
    )
    spoke = and_(acks.c.version.is_not(None), acks.c.version >= heads.c.version)
    state = case(
        (~_online(now), BindingState.OFFLINE.value), (spoke, acks.c.outcome), else_=BindingState.PENDING.value
    ).label("state")
    reason = case((and_(_online(now), spoke), acks.c.reason)).label("reason")
    acknowledged = and_(acks.c.component_id == used.c.component_id, acks.c.config_id == used.c.config_id)
    joined = (
        used.join(heads, heads.c.id == used.c.config_id)
        .join(components, components.c.id == used.c.component_id)
        .outerjoin(component_servers, component_servers.c.id == components.c.server)
        .outerjoin(acks, acknowledged)
    )
    statement = (
        select(heads.c.id, heads.c.version, state, reason, func.count().label("components"))
        .select_from(joined)
        .group_by(heads.c.id, heads.c.version, state, reason)
    )
    counts: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    reasons: dict[str, Counter[str | None]] = defaultdict(Counter)
    for row in await connection.execute(statement):
        counts[row.id, row.version][row.state] += row.components
        if row.state == BindingState.REFUSED.value:
            reasons[row.id][row.reason] += row.components
    return {
        config_id: Rollout(version=version, **states, reasons=dict(reasons[config_id]))
        for (config_id, version), states in counts.items()
    }


async def config_rollouts(
    connection: Connection, config_ids: Collection[str], *, now: datetime
) -> Mapping[str, ConfigRollout]:
    """How far those of these configs (at most 500) have come that are there, used or not."""
    statement = select(heads).where(heads.c.id.in_(sorted(config_ids)))
    used = await rollouts(connection, config_ids, now=now)
    return {
        row.id: ConfigRollout(
            config_id=row.id, alias=row.alias, rollout=used.get(row.id) or Rollout(version=row.version)
        )
        for row in await connection.execute(statement)
    }


def _bindings(now: datetime) -> Select[Any]:
    acknowledged = and_(acks.c.component_id == bindings.c.component_id, acks.c.config_id == bindings.c.config_id)
    joined = (
        _with_servers(bindings.join(components, components.c.id == bindings.c.component_id))
        .outerjoin(heads, heads.c.id == bindings.c.config_id)
        .outerjoin(acks, acknowledged)
    )
    return select(
        *_of_component,
        _disconnected_at(now),
        bindings.c.reference,
        _alias.label("alias"),
        heads.c.id.label("config_id"),
        heads.c.version.label("desired_version"),
        bindings.c.delivered_version,
        acks.c.version.label("acknowledged_version"),
        acks.c.applied_version,
        acks.c.outcome,
        acks.c.reason,
        acks.c.message,
        acks.c.acknowledged_at,
    ).select_from(joined)


def _with_servers(joined: FromClause) -> Any:
    return joined.outerjoin(component_servers, component_servers.c.id == components.c.server)


def _online(now: datetime) -> ColumnElement[bool]:
    return and_(component_servers.c.lease_until.is_not(None), component_servers.c.lease_until > now)


def _disconnected_at(now: datetime) -> ColumnElement[Any]:
    # The last one is for a server of which a restored backup knows nothing.
    since = func.coalesce(components.c.disconnected_at, component_servers.c.lease_until, components.c.connected_at)
    return case((~_online(now), since)).label("disconnected_at")


async def _aliases(connection: Connection, visible: AliasPatterns) -> list[str] | None:
    """The aliases in use that are visible, None for all: globs are not for SQL to tell."""
    if visible.patterns is None:
        return None
    if visible.exact is not None:
        return sorted(visible.exact)
    joined = bindings.outerjoin(heads, heads.c.id == bindings.c.config_id)
    used = (await connection.execute(select(_alias.label("alias")).select_from(joined).distinct())).scalars()
    return [alias for alias in used if visible.allows(alias)]


def _component(row: Any) -> Component:
    names = (column.name for column in _of_component)
    return Component(**{name: getattr(row, name) for name in names}, disconnected_at=row.disconnected_at)


def _binding(row: Any) -> Binding:
    return Binding(
        component=_component(row),
        reference=row.reference,
        alias=row.alias,
        config_id=row.config_id,
        desired_version=row.desired_version,
        delivered_version=row.delivered_version,
        acknowledged_version=row.acknowledged_version,
        applied_version=row.applied_version,
        outcome=None if row.outcome is None else Outcome(row.outcome),
        reason=row.reason,
        message=row.message,
        acknowledged_at=row.acknowledged_at,
    )
