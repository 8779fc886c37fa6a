"""Which server process sent a component what it watches: one with several sockets may be connected to several."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bindings", sa.Column("server", sa.String(32)))
    op.create_index("bindings_server", "bindings", ["server", "component_id"])


def downgrade() -> None:
    op.drop_index("bindings_server", "bindings")
    op.drop_column("bindings", "server")
