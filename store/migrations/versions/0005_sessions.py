"""Sessions, when an API key was last used, and a counter by which servers notice that access was taken away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("last_used_at", _time))
    op.add_column("store_meta", sa.Column("access_revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(20), primary_key=True),
        sa.Column("api_key_id", sa.String(20), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", _time, nullable=False),
        sa.Column("refreshed_at", _time, nullable=False),
        sa.Column("expires_at", _time, nullable=False),
        sa.Column("ended_at", _time),
        sa.Column("end_reason", sa.Text),
    )
    op.create_index("sessions_api_key_id", "sessions", ["api_key_id"])
    op.create_index("sessions_expires_at", "sessions", ["expires_at"])


def downgrade() -> None:
    op.drop_table("sessions")
    op.drop_column("store_meta", "access_revision")
    op.drop_column("api_keys", "last_used_at")
