"""All components and rollouts in memory, as of one moment, and what is new of them in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from .chunks import chunks
from .component_lists import config_rollouts, members
from .component_records import ConfigRollout, Member
from .database import Connection
from .tables import bindings, component_servers, components, model_config_changes, model_configs

# What is read at a time: what else runs in the process gets a turn between.
_CHUNK_ROWS = 200


@dataclass(frozen=True, slots=True)
class Moment:
    """What a database has come to: its identity and its counters. `leases` are those of the server processes, `at` is
    when they were looked at.
    """

    store_id: str
    revision: int
    component_revision: int
    at: datetime
    leases: Mapping[str, datetime]

    def holds(self, server: str) -> bool:
        """Whether the components of a server process count as connected."""
        return server in self.leases and self.leases[server] > self.at

    @property
    def next_end(self) -> datetime | None:
        """When the next of the leases will be over; None: there is none."""
        return min((until for until in self.leases.values() if until > self.at), default=None)


@dataclass(frozen=True, slots=True)
class FleetUpdate:
    """What is other than before, by ids of components and of configs; None: it is gone."""

    moment: Moment
    members: Mapping[str, Member | None]
    rollouts: Mapping[str, ConfigRollout | None]


@dataclass(slots=True)
class FleetImage:
    """Every component by its id, and the rollout of every config by its id; `moment` None: nothing was read yet."""

    moment: Moment | None = None
    members: dict[str, Member] = field(default_factory=dict)
    rollouts: dict[str, ConfigRollout] = field(default_factory=dict)

    def apply(self, update: FleetUpdate) -> None:
        """Go on by what was read."""
        self.moment = update.moment
        _apply(self.members, update.members)
        _apply(self.rollouts, update.rollouts)


async def read_update(connection: Connection, image: FleetImage, meta: Any, *, now: datetime) -> FleetUpdate:
    """What is other now than in the image; `meta` is the row of `store_meta`. The connection reads one moment.

    It costs what changed; the whole is read the first time, and when it cannot be told what changed.
    """
    leases = {row.id: row.lease_until for row in await connection.execute(select(component_servers))}
    moment = Moment(meta.store_id, meta.revision, meta.component_revision, now, leases)
    before = image.moment
    if before is None or before.store_id != meta.store_id or before.revision < meta.compacted_revision:
        return await _whole(connection, image, moment)
    config_ids = await _changed_configs(connection, before.revision) if before.revision != meta.revision else set()
    ids = await _changed_components(connection, before, moment, config_ids)
    found = await _members(connection, ids, now)
    if before.component_revision != meta.component_revision:
        # Those that were forgotten left no trace but that they are not counted.
        count = (await connection.execute(select(func.count()).select_from(components))).scalar_one()
        if count != len(image.members.keys() | found.keys()):
            return await _whole(connection, image, moment)
    for id_ in ids:
        known = (image.members.get(id_), found.get(id_))
        config_ids |= {each.config_id for member in known if member for each in member.bindings if each.config_id}
    return FleetUpdate(
        moment,
        {id_: found.get(id_) for id_ in ids},
        _with_missing(await _rollouts(connection, config_ids, now), config_ids),
    )


async def _whole(connection: Connection, image: FleetImage, moment: Moment) -> FleetUpdate:
    ids = set((await connection.execute(select(components.c.id))).scalars())
    config_ids = set((await connection.execute(select(model_configs.c.id))).scalars())
    return FleetUpdate(
        moment,
        _with_missing(await _members(connection, ids, moment.at), image.members),
        _with_missing(await _rollouts(connection, config_ids, moment.at), image.rollouts),
    )


async def _changed_configs(connection: Connection, after: int) -> set[str]:
    changed = select(model_config_changes.c.config_id).where(model_config_changes.c.revision > after)
    return set((await connection.execute(changed)).scalars())


async def _changed_components(
    connection: Connection, before: Moment, moment: Moment, config_ids: Collection[str]
) -> set[str]:
    """Those of which something was noted, whose server's lease ended or began, or whose configs changed."""
    ids: set[str] = set()
    if before.component_revision != moment.component_revision:
        noted = select(components.c.id).where(components.c.revision > before.component_revision)
        ids.update((await connection.execute(noted)).scalars())
    turned = [each for each in before.leases.keys() | moment.leases.keys() if before.holds(each) != moment.holds(each)]
    for some in chunks(sorted(turned), _CHUNK_ROWS):
        theirs = select(components.c.id).where(components.c.server.in_(some))
        ids.update((await connection.execute(theirs)).scalars())
    for some in chunks(sorted(config_ids), _CHUNK_ROWS):
        users = select(bindings.c.component_id).where(bindings.c.config_id.in_(some))
        ids.update((await connection.execute(users)).scalars())
    return ids


async def _members(connection: Connection, ids: Collection[str], now: datetime) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for some in chunks(sorted(ids), _CHUNK_ROWS):
        found |= await members(connection, some, now=now)
    return found


async def _rollouts(connection: Connection, config_ids: Collection[str], now: datetime) -> dict[str, ConfigRollout]:
    found: dict[str, ConfigRollout] = {}
    for some in chunks(sorted(config_ids), _CHUNK_ROWS):
        found |= await config_rollouts(connection, some, now=now)
    return found


def _with_missing(found: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    return {**dict.fromkeys(known), **found}


def _apply(known: dict[str, Any], new: Mapping[str, Any]) -> None:
    for id_, record in new.items():
        if record is None:
            known.pop(id_, None)
        else:
            known[id_] = record
