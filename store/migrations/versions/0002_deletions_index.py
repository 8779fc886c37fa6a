"""An index of the deletions in the change log, by which compaction finds those that are old."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    only = sa.text("operation = 'delete'")
    op.create_index(
        "model_config_changes_deletions",
        "model_config_changes",
        ["changed_at"],
        sqlite_where=only,
        postgresql_where=only,
    )


def downgrade() -> None:
    op.drop_index("model_config_changes_deletions", "model_config_changes")
