"""Bring a database to the schema of this version of Modelwire, and a new one to life."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select

from .change_log import new_config_id, state_columns
from .database import synchronous_transaction
from .errors import SchemaMismatch, StoreCorrupt
from .records import DEFAULT_ALIASES, ModelConfigDraft, Operation
from .tables import model_config_changes, model_configs, store_meta

_STORE_ID_ALPHABET = string.digits + string.ascii_lowercase


def migrate(url: str) -> None:
    """Upgrade the database to the newest schema. A new one gets its identity and the placeholders, at revision 1.

    All in one transaction under the write lock, so several processes may start at once. Blocks; call it in a thread.
    Raises SchemaMismatch when the database is newer than this code, StoreUnavailable, StoreCorrupt.
    """
    with synchronous_transaction(url, write=True) as connection:
        config = _alembic_config()
        schema_revision(connection, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if connection.execute(select(store_meta.c.id)).first() is None:
            _found_store(connection)


def read_store_id(url: str) -> str:
    """The identity of a database, once it is clear that this code can work with it. Blocks; call it in a thread.

    Raises SchemaMismatch when it does not have the newest schema, StoreUnavailable, StoreCorrupt.
    """
    with synchronous_transaction(url, write=False) as connection:
        config = _alembic_config()
        revision = schema_revision(connection, config)
        if revision != ScriptDirectory.from_config(config).get_current_head():
            state = "has no tables of Modelwire" if revision is None else f"has the older schema {revision}"
            raise SchemaMismatch(
                f"the database {state}: run `modelwire migrate` (`modelwire serve` does so at its start)"
            )
        store_id: str | None = connection.execute(select(store_meta.c.store_id)).scalar()
    if store_id is None:
        raise StoreCorrupt("the database has lost its identity: restore a backup")
    return store_id


def schema_revision(connection: Connection, config: Config) -> str | None:
    """The schema revision that the database has; None when it was never migrated. Raises SchemaMismatch when this code
    does not know it.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and revision not in _known_revisions(config):
        raise SchemaMismatch(
            f"the database has the schema {revision}, which this version of Modelwire does not know: "
            "it was written by a newer one; upgrade Modelwire, or give another database"
        )
    return revision


def new_store_id() -> str:
    """A random identity, 12 characters."""
    return "".join(secrets.choice(_STORE_ID_ALPHABET) for _ in range(12))


def _alembic_config() -> Config:
    config = Config()
    # Alembic interpolates its options, so a percent sign in the path must be doubled.
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _known_revisions(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _found_store(connection: Connection) -> None:
    now = datetime.now(UTC)
    connection.execute(
        insert(store_meta).values(id=1, store_id=new_store_id(), revision=1, compacted_revision=0, created_at=now)
    )
    for alias in DEFAULT_ALIASES:
        config_id = new_config_id()
        row = {
            "config_id": config_id,
            "version": 1,
            "revision": 1,
            "operation": Operation.CREATE.value,
            "changed_at": now,
            "changed_by": "system",
            "created_at": now,
            "created_by": "system",
            **state_columns(ModelConfigDraft(alias=alias), None),
        }
        connection.execute(insert(model_config_changes), row)
        connection.execute(insert(model_configs), {"id": config_id, "alias": alias, "version": 1})
