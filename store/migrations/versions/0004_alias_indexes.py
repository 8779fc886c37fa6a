"""Indexes of the change log by alias, so that a resume costs what it missed and not what others did."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("model_config_changes_alias", "model_config_changes", ["alias", "revision"])
    op.create_index("model_config_changes_previous_alias", "model_config_changes", ["previous_alias", "revision"])


def downgrade() -> None:
    op.drop_index("model_config_changes_previous_alias", "model_config_changes")
    op.drop_index("model_config_changes_alias", "model_config_changes")
