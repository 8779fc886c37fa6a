"""The store's identity, model configs with their change log, API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out here, not taken from tables.py: this script must make the same tables for ever.
_alias = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "store_meta",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("store_id", sa.String(12), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("compacted_revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", _time, nullable=False),
        sa.CheckConstraint("id = 1", name="store_meta_one_row"),
    )
    op.create_table(
        "model_config_changes",
        sa.Column("config_id", sa.String(20), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("operation", sa.String(10), nullable=False),
        sa.Column("previous_alias", _alias),
        sa.Column("changed_at", _time, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False),
        sa.Column("alias", _alias),
        sa.Column("description", sa.Text),
        sa.Column("provider", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("api_base", sa.Text),
        sa.Column("auth", sa.JSON),
        sa.Column("params", sa.JSON),
        sa.Column("sealed_params", sa.JSON),
        sa.Column("max_input_tokens", sa.BigInteger),
        sa.Column("created_at", _time),
        sa.Column("created_by", sa.Text),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("sealing_key", sa.String(64)),
    )
    op.create_index("model_config_changes_revision", "model_config_changes", ["revision"])
    op.create_table(
        "model_configs",
        sa.Column("id", sa.String(20), primary_key=True),
        sa.Column("alias", _alias, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("alias", name="model_configs_alias"),
        sa.ForeignKeyConstraint(
            ["id", "version"],
            ["model_config_changes.config_id", "model_config_changes.version"],
            name="model_configs_current_change",
        ),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(20), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("aliases", sa.JSON),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("created_at", _time, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", _time),
        sa.Column("revoked_at", _time),
    )


def downgrade() -> None:
    for table in ("api_keys", "model_configs", "model_config_changes", "store_meta"):
        op.drop_table(table)
