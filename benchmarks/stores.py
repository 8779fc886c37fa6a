"""Databases with much in them, made by SQL: as a server that ran for long would have left them.

Nothing of it is old enough to be forgotten, and PostgreSQL has seen to it and written it to the disk: else the server
would compact the log, and PostgreSQL vacuum it, while they are measured.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from pydantic import SecretStr
from sqlalchemy import make_url

from modelwire.server.app import prepare
from modelwire.server.database import database_url
from modelwire.server.settings import Settings

from .processes import ROOT
from .servers import ADMIN_KEY

ENCRYPTION_KEYS = "benchmark:" + "A" * 43

_COLUMNS = (
    "config_id, version, revision, operation, previous_alias, changed_at, changed_by, alias, description, provider, "
    "model, api_base, auth, params, sealed_params, created_at, created_by"
)
_FILL_LOG = """
INSERT INTO model_config_changes ({columns})
SELECT {id}, v.n, {base} + (c.n - 1) * {versions} + v.n, CASE v.n WHEN 1 THEN 'create' ELSE 'update' END,
  CASE v.n WHEN 1 THEN NULL ELSE {alias} END, '{now}', 'api_key:benchmark', {alias}, 'An agent',
  'openai', 'gpt-4o-mini', 'https://models.example/v1', '{{"type": "none", "fields": {{}}, "hints": {{}}}}',
  '{{"temperature": 0.5, "max_tokens": 1000}}', '[]', '{now}', 'api_key:benchmark'
FROM {configs_series} AS c CROSS JOIN {versions_series} AS v
"""
_FILL_HEADS = (
    "INSERT INTO model_configs (id, alias, version) SELECT {id}, {alias}, {versions} FROM {configs_series} AS c"
)
_FILL_META = "UPDATE store_meta SET revision = {base} + {versions} * {configs}"


def config_id(number: int) -> str:
    """The id of the config with this number, from 1."""
    return f"{number:020d}"


def fill(settings: Settings, *, configs: int, versions: int) -> None:
    """Make a database with so many configs, each with so many versions in the change log."""
    asyncio.run(prepare(settings.model_copy(update={"admin_key": SecretStr(ADMIN_KEY)})))
    url = database_url(settings)
    if settings.embedded:
        with closing(sqlite3.connect(make_url(url).database or "")) as connection, connection:
            connection.execute("PRAGMA cache_size = -500000")
            _fill(connection, configs, versions, id_="printf('%020d', c.n)", alias="'filled-' || c.n")
    else:
        with psycopg.connect(url) as connection:
            _fill(connection, configs, versions, id_="lpad(c.n::text, 20, '0')", alias="'filled-' || c.n")
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")


def _fill(
    connection: sqlite3.Connection | psycopg.Connection, configs: int, versions: int, *, id_: str, alias: str
) -> None:
    row = connection.execute("SELECT revision FROM store_meta").fetchone()
    assert row is not None
    series = _sqlite_series if isinstance(connection, sqlite3.Connection) else _postgresql_series
    values = {
        "columns": _COLUMNS,
        "id": id_,
        "alias": alias,
        "now": datetime.now(UTC).isoformat(" ", "seconds"),
        "base": row[0],
        "configs": configs,
        "versions": versions,
        "configs_series": series(configs),
        "versions_series": series(versions),
    }
    for statement in (_FILL_LOG, _FILL_HEADS, _FILL_META):
        connection.execute(statement.format(**values))


def _sqlite_series(count: int) -> str:
    numbers = f"SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}"
    return f"(WITH RECURSIVE numbers AS ({numbers}) SELECT n FROM numbers)"


def _postgresql_series(count: int) -> str:
    return f"(SELECT n FROM generate_series(1, {count}) AS n)"


@contextmanager
def postgresql(count: int) -> Iterator[list[str]]:
    """The URLs of so many empty databases on a server that waits for the disk, as the tests start it."""
    sys.path.append(str(ROOT / "tests"))
    from postgres import Databases, own_server

    with own_server(durable=True) as server:
        databases = Databases(server.url)
        yield [databases.create(migrated=False) for _ in range(count)]


def settings_of(folder: Path, url: str | None) -> Settings:
    """The settings of a server on this database, None: an embedded one in the folder."""
    if url is None:
        return Settings(data_dir=folder)
    return Settings(data_dir=folder, database_url=url, encryption_keys=SecretStr(ENCRYPTION_KEYS))
