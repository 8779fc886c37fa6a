"""The tables. `migrations/` makes them; tests/unit/store/test_migrate.py keeps the two equal."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, always given back in UTC: SQLite keeps no time zone, PostgreSQL answers in the session's."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - given by SQLAlchemy
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - given by SQLAlchemy
        if value is None or value.tzinfo is not None:
            return value if value is None else value.astimezone(UTC)
        return value.replace(tzinfo=UTC)


# Uniqueness and order of aliases go by code point on every database; SQLite's default collation does that already.
Alias = String(100).with_variant(String(100, collation="C"), "postgresql")

# Pages of lists are sorted by these, by code point too.
ComponentName = Text().with_variant(Text(collation="C"), "postgresql")
Reference = String(110).with_variant(String(110, collation="C"), "postgresql")

# Text, not PostgreSQL's jsonb: numbers come back as they were written.
JsonText = JSON(none_as_null=True)

store_meta = Table(
    "store_meta",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("store_id", String(12), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("compacted_revision", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Counts what takes access away (a key revoked, a session ended): servers look at it to close what is open.
    Column("access_revision", BigInteger, nullable=False, server_default="0"),
    # Counts what is noted of components; renewals of leases aside, which come all the time.
    Column("component_revision", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="store_meta_one_row"),
)

# The change log. Each row is self-contained: the whole state after the change, null after a deletion.
model_config_changes = Table(
    "model_config_changes",
    metadata,
    Column("config_id", String(20), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("operation", String(10), nullable=False),
    Column("previous_alias", Alias),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("alias", Alias),
    Column("description", Text),
    Column("provider", Text),
    Column("model", Text),
    Column("api_base", Text),
    Column("auth", JsonText),
    Column("params", JsonText),
    Column("sealed_params", JsonText),
    Column("max_input_tokens", BigInteger),
    Column("created_at", UtcDateTime),
    Column("created_by", Text),
    Column("sealed", LargeBinary),
    Column("sealing_key", String(64)),
    Index("model_config_changes_revision", "revision"),
    Index("model_config_changes_alias", "alias", "revision"),
    Index("model_config_changes_previous_alias", "previous_alias", "revision"),
    Index(
        "model_config_changes_deletions",
        "changed_at",
        sqlite_where=text("operation = 'delete'"),
        postgresql_where=text("operation = 'delete'"),
    ),
)

# The heads: which version of which config is the current one, and who has which alias.
model_configs = Table(
    "model_configs",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("alias", Alias, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("alias", name="model_configs_alias"),
    ForeignKeyConstraint(
        ["id", "version"],
        ["model_config_changes.config_id", "model_config_changes.version"],
        name="model_configs_current_change",
    ),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", Text, nullable=False),
    Column("scopes", JsonText, nullable=False),
    Column("aliases", JsonText),
    Column("secret_hash", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

# A sign-in with an API key, and the refresh tokens that came of it: one is good, that of the last generation.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("api_key_id", String(20), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("refreshed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("end_reason", Text),
    Index("sessions_api_key_id", "api_key_id"),
    Index("sessions_expires_at", "expires_at"),
)

# Server processes that hold components. One row to renew says of all of them that they are still connected.
component_servers = Table(
    "component_servers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("lease_until", UtcDateTime, nullable=False),
)

# `server` is the process that it connected to last, null: its last socket was closed, at `disconnected_at`. `revision`
# is the `component_revision` at which something of the component was noted last: itself, what it watches, or what it
# said.
components = Table(
    "components",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("instance_id", Text, nullable=False),
    Column("name", ComponentName, nullable=False),
    Column("kind", Text),
    Column("library_version", Text),
    Column("labels", JsonText, nullable=False),
    Column("subject", Text, nullable=False),
    Column("server", String(32)),
    Column("connected_at", UtcDateTime, nullable=False),
    Column("disconnected_at", UtcDateTime),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Index("components_name", "name", "id"),
    Index("components_server", "server"),
    Index("components_revision", "revision"),
)

# What components watch by name, and which version of it was sent to them. `reference` is `alias:…` or `id:…`. `server`
# is the process that sent it: a component with several sockets may be connected to several.
bindings = Table(
    "bindings",
    metadata,
    Column("component_id", String(32), primary_key=True),
    Column("reference", Reference, primary_key=True),
    Column("alias", Alias, nullable=False),
    Column("config_id", String(20)),
    Column("delivered_version", Integer),
    Column("server", String(32)),
    Index("bindings_config_id", "config_id"),
    # Both columns: of one component, and of those of a process.
    Index("bindings_server", "server", "component_id"),
)

# A table of its own: a component may say what it runs before anybody has noted that it was sent.
acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("component_id", String(32), primary_key=True),
    Column("config_id", String(20), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("applied_version", Integer),
    Column("reason", Text),
    Column("message", Text),
    Column("acknowledged_at", UtcDateTime, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # The very text that is hashed: JSON with the sequence and all that there is to say.
    Column("entry", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
