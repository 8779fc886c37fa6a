"""A counter by which servers notice what is new of components, and of which."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    counter = sa.Column("component_revision", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("store_meta", counter)
    op.add_column("components", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("components_revision", "components", ["revision"])


def downgrade() -> None:
    op.drop_index("components_revision", "components")
    op.drop_column("components", "revision")
    op.drop_column("store_meta", "component_revision")
