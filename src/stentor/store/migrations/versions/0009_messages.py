"""Messages to a few recipients beside campaigns: which rows are messages, and which tasks go first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'campaign'")))
    op.add_column("stentor_campaigns", sa.Column("addresses", sa.LargeBinary))
    op.create_index("ix_stentor_campaigns_kind_created_at", "stentor_campaigns", ["kind", "created_at"])
    op.add_column("stentor_tasks", sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.create_index(
        "ix_stentor_tasks_urgent",
        "stentor_tasks",
        ["lane", "ready_at"],
        sqlite_where=sa.text("urgent = 1"),
        postgresql_where=sa.text("urgent"),
    )
