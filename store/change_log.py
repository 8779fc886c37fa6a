"""Model configs in the database: records to rows and back, and the statements that read them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, bindparam, select, union

from .database import Connection, Database
from .errors import StoreCorrupt
from .records import Auth, AuthType, Change, Json, ModelConfig, ModelConfigDraft, Operation, Selector
from .secrets import Envelope
from .tables import model_config_changes as changes
from .tables import model_configs as heads
from .tables import store_meta

# Rows are decoded in the event loop: this many at once keep it free for others.
_CHUNK_ROWS = 500

_current = select(changes).join(heads, (heads.c.id == changes.c.config_id) & (heads.c.version == changes.c.version))


def _current_by(column: ColumnElement[str]) -> Select[Any]:
    # No join: whether PostgreSQL goes to the one version or through all of them would hang on its statistics.
    head = [
        select(part).where(column == bindparam(column.name)).scalar_subquery() for part in (heads.c.id, heads.c.version)
    ]
    return select(changes).where(changes.c.config_id == head[0], changes.c.version == head[1])


_current_by_id = _current_by(heads.c.id)
_current_by_alias = _current_by(heads.c.alias)

# Both tables have a `revision`.
_META = "meta_"
_log = (
    select(*(column.label(_META + column.name) for column in store_meta.columns), changes)
    .select_from(store_meta.outerjoin(changes, changes.c.revision > bindparam("after")))
    .order_by(changes.c.revision, changes.c.config_id, changes.c.version)
)


def new_config_id() -> str:
    """A random id, 20 characters."""
    return secrets.token_hex(10)


def state_columns(draft: ModelConfigDraft, envelope: Envelope | None) -> dict[str, Any]:
    """The columns that hold what a writer gave. Raises ValueError or TypeError for what is no JSON."""
    return {
        "alias": draft.alias,
        "description": draft.description,
        "provider": draft.provider,
        "model": draft.model,
        "api_base": draft.api_base,
        "auth": _plain({"type": draft.auth.type.value, "fields": draft.auth.fields, "hints": draft.auth.hints}),
        "params": _plain(draft.params),
        "sealed_params": sorted(draft.secrets.params),
        "max_input_tokens": draft.max_input_tokens,
        "sealed": envelope.sealed if envelope else None,
        "sealing_key": envelope.key_name if envelope else None,
    }


def _plain(value: Json) -> Json:
    """A copy as it would come back from the database, so that a config just written equals the one read later."""
    return json.loads(json.dumps(value, default=dict, allow_nan=False))


@contextmanager
def _readable(row: Any) -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"version {row.version} of config {row.config_id} cannot be read, it was changed from outside: "
            "restore a backup"
        ) from error


def config_of(row: Any) -> ModelConfig:
    """The config that a row of the change log holds, at that change's version. The row is not of a deletion.

    Raises StoreCorrupt for a row that this code cannot have written.
    """
    with _readable(row):
        return ModelConfig(
            id=row.config_id,
            alias=row.alias,
            description=row.description,
            provider=row.provider,
            model=row.model,
            api_base=row.api_base,
            auth=Auth(type=AuthType(row.auth["type"]), fields=row.auth["fields"], hints=row.auth["hints"]),
            params=row.params,
            sealed_params=tuple(row.sealed_params),
            max_input_tokens=row.max_input_tokens,
            version=row.version,
            revision=row.revision,
            created_at=row.created_at,
            created_by=row.created_by,
            updated_at=row.changed_at,
            updated_by=row.changed_by,
            sealed=None if row.sealed is None else bytes(Envelope(row.sealing_key, row.sealed)),
        )


def change_of(row: Any) -> Change:
    """The change that a row of the change log tells. Raises StoreCorrupt."""
    with _readable(row):
        operation = Operation(row.operation)
        return Change(
            revision=row.revision,
            config_id=row.config_id,
            version=row.version,
            operation=operation,
            previous_alias=row.previous_alias,
            config=None if operation is Operation.DELETE else config_of(row),
            at=row.changed_at,
            by=row.changed_by,
        )


async def find_config(connection: Connection, *, id: str | None, alias: str | None) -> ModelConfig | None:  # noqa: A002 - the API's name
    """The current config with this id or, when `id` is None, this alias."""
    if (id is None) == (alias is None):
        raise TypeError("give exactly one of id and alias")
    if id is None:
        rows = await _rows(connection, _current_by_alias, {"alias": alias})
    else:
        rows = await _rows(connection, _current_by_id, {"id": id})
    return config_of(rows[0]) if rows else None


async def find_configs(connection: Connection, selector: Selector) -> list[ModelConfig]:
    """Current configs in the order of their aliases."""
    statement = _current.where(*_exact_conditions(selector)).order_by(heads.c.alias).limit(_CHUNK_ROWS)
    found: list[ModelConfig] = []
    remaining = statement
    while True:
        rows = await _rows(connection, remaining)
        found += [config_of(row) for row in rows if selector.visible.allows(row.alias)]
        if len(rows) < _CHUNK_ROWS:
            return found
        remaining = statement.where(heads.c.alias > rows[-1].alias)


def _exact_conditions(selector: Selector) -> list[ColumnElement[bool]]:
    """What of a selector SQL can tell: all but globs."""
    conditions: list[ColumnElement[bool]] = []
    if selector.ids is not None or selector.aliases is not None:
        # A union of two look-ups: for `id IN … OR alias IN …` databases may read the whole table.
        named = union(
            select(heads.c.id).where(heads.c.id.in_(sorted(selector.ids or ()))),
            select(heads.c.id).where(heads.c.alias.in_(sorted(selector.aliases or ()))),
        )
        conditions.append(heads.c.id.in_(named))
    if selector.visible.exact is not None:
        conditions.append(heads.c.alias.in_(sorted(selector.visible.exact)))
    return conditions


def _concerning(selector: Selector, after: int) -> CompoundSelect[Any]:
    """The keys of the changes that `WatchIndex` would hand to a watch. Each look-up has an index of its own."""
    ids, aliases = sorted(selector.ids or ()), sorted(selector.aliases or ())
    named = (changes.c.config_id.in_(ids), changes.c.alias.in_(aliases), changes.c.previous_alias.in_(aliases))
    return union(
        *(select(changes.c.config_id, changes.c.version).where(name, changes.c.revision > after) for name in named)
    )


async def find_changes(connection: Connection, *, after: int, concerning: Selector | None = None) -> list[Change]:
    """All changes with a greater revision, in the order of (revision, config id, version).

    With `concerning`, those alone that touch what it names, by the name before the change or the one after it.
    """
    statement = select(changes).order_by(changes.c.revision, changes.c.config_id, changes.c.version)
    if concerning is None or concerning.everything:
        statement = statement.where(changes.c.revision > after)
    else:
        # A join, because SQLite would walk through the log for `(id, version) IN (…)`.
        keys = _concerning(concerning, after).subquery()
        key = (changes.c.config_id == keys.c.config_id) & (changes.c.version == keys.c.version)
        statement = statement.join(keys, key)
    return [change_of(row) for row in await _rows(connection, statement)]


async def find_versions(connection: Connection, config_id: str, *, first: int, before: int | None) -> list[Change]:
    """What the log still has of one config, newest first: at most `first`, with a version lower than `before`."""
    statement = select(changes).where(changes.c.config_id == config_id)
    if before is not None:
        statement = statement.where(changes.c.version < before)
    return [
        change_of(row) for row in await _rows(connection, statement.order_by(changes.c.version.desc()).limit(first))
    ]


async def find_version(connection: Connection, config_id: str, version: int) -> ModelConfig | None:
    """A config as it was at one version; None when the log does not have it, or it is the config's deletion."""
    statement = select(changes).where(changes.c.config_id == config_id, changes.c.version == version)
    return next((change_of(row).config for row in await _rows(connection, statement)), None)


async def read_log(database: Database, *, after: int) -> tuple[Any, list[Change]]:
    """The row of `store_meta`, and all changes with a greater revision as `find_changes` gives them: of one moment."""
    with _readable_json():
        rows = await database.rows(_log, {"after": after})
    meta = SimpleNamespace(**{column.name: getattr(rows[0], _META + column.name) for column in store_meta.columns})
    return meta, [change_of(row) for row in rows if row.config_id is not None]


async def _rows(connection: Connection, statement: Select[Any], values: Mapping[str, Any] | None = None) -> list[Any]:
    result = await connection.execute(statement, values)
    with _readable_json():
        return list(result.all())


@contextmanager
def _readable_json() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise StoreCorrupt(
            "a row of the change log is no JSON, it was changed from outside: restore a backup"
        ) from error
