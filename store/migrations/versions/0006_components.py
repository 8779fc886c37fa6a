"""Components, what they watch, and what they say that they run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)
_alias = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")
_name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_reference = sa.String(110).with_variant(sa.String(110, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "component_servers",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("lease_until", _time, nullable=False),
    )
    op.create_table(
        "components",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("instance_id", sa.Text, nullable=False),
        sa.Column("name", _name, nullable=False),
        sa.Column("kind", sa.Text),
        sa.Column("library_version", sa.Text),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("server", sa.String(32)),
        sa.Column("connected_at", _time, nullable=False),
        sa.Column("disconnected_at", _time),
    )
    op.create_index("components_name", "components", ["name", "id"])
    op.create_index("components_server", "components", ["server"])
    op.create_table(
        "bindings",
        sa.Column("component_id", sa.String(32), primary_key=True),
        sa.Column("reference", _reference, primary_key=True),
        sa.Column("alias", _alias, nullable=False),
        sa.Column("config_id", sa.String(20)),
        sa.Column("delivered_version", sa.Integer),
    )
    op.create_index("bindings_config_id", "bindings", ["config_id"])
    op.create_table(
        "acknowledgements",
        sa.Column("component_id", sa.String(32), primary_key=True),
        sa.Column("config_id", sa.String(20), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("applied_version", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("acknowledged_at", _time, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("acknowledgements")
    op.drop_table("bindings")
    op.drop_table("components")
    op.drop_table("component_servers")
