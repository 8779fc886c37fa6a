"""Components: who is connected, which configs they were sent, and what they say that they run.

None of it is in the change log, and writing it makes no revision.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, delete, func, insert, or_, select, true, tuple_, update

from .chunks import chunks
from .component_lists import BindingsOf, ComponentListing, bindings_page, components_page, rollouts
from .component_records import Acknowledgement, Binding, Bound, Component, Outcome, PresenceBatch, Rollout
from .database import Connection, Database
from .records import AliasPatterns
from .tables import acknowledgements, bindings, component_servers, components, store_meta

GONE_KEPT = 200_000
"""How many components are kept that are gone. A large one takes 13 kB."""

_SURPLUS_FORGOTTEN = 1_000


def component_id(subject: str, instance_id: str) -> str:
    """The id of what calls itself `instance_id` with the credentials of `subject`: nobody else can be it."""
    return hashlib.sha256(json.dumps([subject, instance_id]).encode()).hexdigest()[:32]


class Components:
    """The components of a store. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, batch: PresenceBatch) -> None:
        """Note all that a server process knows anew, in one transaction, and that it is there until `lease_until`.

        A component that connected begins without bindings, but for those to another server that holds it, too. Of what
        was acknowledged the newest version counts, and the newest that was applied. `gone` are marked as disconnected
        unless another server holds them.
        """
        others = _others(batch.server, batch.at)
        async with self._database.write() as connection:
            await _lease(connection, batch)
            # Null: of a version that did not note it.
            not_of_others = or_(bindings.c.server.is_(None), bindings.c.server.not_in(others))
            ids = [component.id for component in batch.connected]
            await _delete(connection, bindings, ["component_id"], ids, not_of_others)
            rows = [_component_row(component, batch.server) for component in batch.connected]
            await _replace(connection, components, ["id"], rows)
            await _delete(connection, bindings, ["component_id", "reference"], batch.unbound, not_of_others)
            bound = [_binding_row(each, batch.server) for each in batch.bound]
            await _replace(connection, bindings, ["component_id", "reference"], bound)
            for some in chunks(sorted(batch.gone)):
                await _release(connection, batch.server, components.c.id.in_(some), at=batch.at)
            await _acknowledge(connection, batch.acknowledgements)
            if batch.gone:
                await _forget_surplus(connection)
            await _note_change(connection, batch.concerned)

    async def leave(self, server: str, *, at: datetime) -> None:
        """Note that a server process stops: all that it has is disconnected."""
        async with self._database.write() as connection:
            await _disconnect(connection, server, at)

    async def present(self, server: str) -> Mapping[str, int]:
        """The components that are noted as connected to a server process last, by id: how many bindings it has of
        each.
        """
        mine = (bindings.c.component_id == components.c.id) & (bindings.c.server == server)
        counted = (
            select(components.c.id, func.count(bindings.c.reference).label("bindings"))
            .select_from(components.outerjoin(bindings, mine))
            .where(components.c.server == server)
            .group_by(components.c.id)
        )
        async with self._database.read() as connection:
            return {row.id: row.bindings for row in await connection.execute(counted)}

    async def online(self, ids: Collection[str], *, now: datetime) -> frozenset[str]:
        """Those of these components that are noted as connected to any server process whose lease goes on."""
        holding = select(component_servers.c.id).where(component_servers.c.lease_until > now)
        async with self._database.read() as connection:
            found: set[str] = set()
            for some in chunks(sorted(ids)):
                held = select(components.c.id).where(components.c.id.in_(some), components.c.server.in_(holding))
                found.update((await connection.execute(held)).scalars())
            return frozenset(found)

    async def has(self, id: str) -> bool:  # noqa: A002 - the API's name
        """Whether there is a component with this id, connected or not."""
        async with self._database.read() as connection:
            found = await connection.execute(select(components.c.id).where(components.c.id == id))
            return found.first() is not None

    async def forget(self, *, now: datetime, before: datetime) -> int:
        """Let go of the servers whose lease is over, and take out the components that disconnected before this time;
        how many there were.
        """
        async with self._database.write() as connection:
            over = select(component_servers).where(component_servers.c.lease_until <= now)
            for row in (await connection.execute(over)).all():
                await _disconnect(connection, row.id, row.lease_until)
            old = select(components.c.id).where(components.c.server.is_(None), components.c.disconnected_at < before)
            ids = [row.id for row in await connection.execute(old)]
            await _forget(connection, ids)
            return len(ids)

    async def page(
        self, listing: ComponentListing, *, now: datetime, first: int, after: tuple[str, str] | None = None
    ) -> list[Component]:
        """The first `first` components of a list, or all there are, behind one with this name and id."""
        async with self._database.read() as connection:
            return await components_page(connection, listing, now=now, first=first, after=after)

    async def bindings(
        self,
        of: BindingsOf,
        ids: Collection[str],
        *,
        visible: AliasPatterns,
        now: datetime,
        first: int,
        after: tuple[str, str, str] | None = None,
    ) -> Mapping[str, list[Binding]]:
        """For each of these configs or components its bindings, in the order of (component's name, component's id,
        reference): the first `first` behind `after`. Those without any are not in it. `ids` are at most 500.
        """
        async with self._database.read() as connection:
            return await bindings_page(connection, of, ids, visible=visible, now=now, first=first, after=after)

    async def rollouts(self, config_ids: Collection[str], *, now: datetime) -> Mapping[str, Rollout]:
        """How far each of these configs (at most 500) has come; those that no component uses are not in it."""
        async with self._database.read() as connection:
            return await rollouts(connection, config_ids, now=now)


async def _forget_surplus(connection: Connection) -> None:
    """Take out some of the components that disconnected first when there are more than GONE_KEPT: of whoever has most,
    for anybody can connect under a new name again and again.
    """
    gone = components.c.server.is_(None)
    count = (await connection.execute(select(func.count()).select_from(components).where(gone))).scalar_one()
    if count <= GONE_KEPT:
        return
    subject = components.c.subject
    most = select(subject).where(gone).group_by(subject).order_by(func.count().desc(), subject).limit(1)
    theirs = select(components.c.id).where(gone, subject == most.scalar_subquery())
    # More than has to be: to look for them costs more than to count them.
    oldest = theirs.order_by(components.c.disconnected_at).limit(count - GONE_KEPT + _SURPLUS_FORGOTTEN)
    await _forget(connection, (await connection.execute(oldest)).scalars().all())


async def _forget(connection: Connection, ids: Sequence[str]) -> None:
    await _delete(connection, acknowledgements, ["component_id"], ids)
    await _delete(connection, bindings, ["component_id"], ids)
    await _delete(connection, components, ["id"], ids)
    if ids:
        await _next_revision(connection)


async def _lease(connection: Connection, batch: PresenceBatch) -> None:
    mine = component_servers.c.id == batch.server
    row = {"id": batch.server, "lease_until": batch.lease_until}
    renewed = update(component_servers).where(mine, component_servers.c.lease_until > batch.at).values(row)
    if (await connection.execute(renewed)).rowcount:
        return
    # It begins, or was over: whoever is noted as connected there is so again.
    await connection.execute(delete(component_servers).where(mine))
    await connection.execute(insert(component_servers), row)
    await _next_revision(connection)


async def _disconnect(connection: Connection, server: str, at: datetime) -> None:
    await _release(connection, server, true(), at=at, revision=await _next_revision(connection))
    await connection.execute(delete(component_servers).where(component_servers.c.id == server))


async def _release(
    connection: Connection, server: str, which: ColumnElement[bool], *, at: datetime, revision: int | None = None
) -> None:
    """Note that a server process holds some components no more. They are another's that sent them something, and what
    this one sent is forgotten then; else they are disconnected, and keep what they had.

    `revision` is that of the change; None: the caller notes which components it concerns.
    """
    noted = {} if revision is None else {"revision": revision}
    heir = (
        select(func.min(bindings.c.server))
        .where(bindings.c.component_id == components.c.id, bindings.c.server.in_(_others(server, at)))
        .scalar_subquery()
    )
    left = {"server": heir, "disconnected_at": case((heir.is_(None), at)), **noted}
    await connection.execute(update(components).where(which, components.c.server == server).values(left))
    elsewhere = (which, components.c.server.is_not(None), components.c.server != server)
    if noted:
        sent = select(bindings.c.component_id).where(bindings.c.server == server)
        await connection.execute(update(components).where(*elsewhere, components.c.id.in_(sent)).values(noted))
    theirs = bindings.c.component_id.in_(select(components.c.id).where(*elsewhere))
    await connection.execute(delete(bindings).where(bindings.c.server == server, theirs))


def _others(server: str, at: datetime) -> Select[tuple[str]]:
    """The other server processes whose leases go on."""
    return select(component_servers.c.id).where(component_servers.c.id != server, component_servers.c.lease_until > at)


async def _next_revision(connection: Connection) -> int:
    """Have all servers look what is new of components. Writers are serialised, so commits are in its order."""
    counted = update(store_meta).values(component_revision=store_meta.c.component_revision + 1)
    return int((await connection.execute(counted.returning(store_meta.c.component_revision))).scalar_one())


async def _note_change(connection: Connection, ids: Collection[str]) -> None:
    if not ids:
        return
    revision = await _next_revision(connection)
    for some in chunks(sorted(ids)):
        await connection.execute(update(components).where(components.c.id.in_(some)).values(revision=revision))


async def _acknowledge(connection: Connection, given: Sequence[Acknowledgement]) -> None:
    for some in chunks(given):
        keys = [(each.component_id, each.config_id) for each in some]
        where = tuple_(acknowledgements.c.component_id, acknowledgements.c.config_id).in_(keys)
        known = {
            (row.component_id, row.config_id): row._asdict()
            for row in await connection.execute(select(acknowledgements).where(where))
        }
        said: dict[tuple[str, str], dict[str, Any]] = {}
        for each in some:
            key = each.component_id, each.config_id
            said[key] = _acknowledged(each, said.get(key) or known.get(key))
        await _replace(connection, acknowledgements, ["component_id", "config_id"], list(said.values()))


def _acknowledged(given: Acknowledgement, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The row after it, in whichever order those of two versions came."""
    applied = [before["applied_version"] or 0] if before is not None else [0]
    if given.outcome is Outcome.APPLIED:
        applied.append(given.version)
    # What is refused does not displace what is in use.
    applied_version = max(applied) or None
    if before is not None and given.version < before["version"]:
        return {**before, "applied_version": applied_version}
    return {
        "component_id": given.component_id,
        "config_id": given.config_id,
        "version": given.version,
        "outcome": given.outcome.value,
        "applied_version": applied_version,
        "reason": given.reason,
        "message": given.message,
        "acknowledged_at": given.at,
    }


def _component_row(component: Component, server: str) -> dict[str, Any]:
    row = {column.name: getattr(component, column.name) for column in components.c if column.name in _OF_COMPONENTS}
    return {**row, "labels": dict(component.labels), "server": server, "disconnected_at": None}


_OF_COMPONENTS = {"id", "instance_id", "name", "kind", "library_version", "subject", "connected_at"}


def _binding_row(bound: Bound, server: str) -> dict[str, Any]:
    return {**asdict(bound), "server": server}


async def _replace(connection: Connection, table: Table, key: list[str], rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of those with the same key: all writers are serialised, so nobody is between."""
    keys = [row[key[0]] if len(key) == 1 else tuple(row[name] for name in key) for row in rows]
    await _delete(connection, table, key, keys)
    for some in chunks(rows):
        await connection.execute(insert(table), some)


async def _delete(
    connection: Connection, table: Table, key: list[str], keys: Sequence[Any], *conditions: ColumnElement[bool]
) -> None:
    column: Any = table.c[key[0]] if len(key) == 1 else tuple_(*(table.c[name] for name in key))
    for some in chunks(keys):
        await connection.execute(delete(table).where(column.in_(some), *conditions))
