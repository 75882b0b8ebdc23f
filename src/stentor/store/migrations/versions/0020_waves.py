"""Batches that are held until their wave begins, and lifetimes of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("stentor_batches", sa.Column("wave", sa.Double))
    op.add_column("stentor_batches", sa.Column("expires_at", sa.Double))
    op.add_column("stentor_batches", sa.Column("gated", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.add_column("stentor_campaigns", sa.Column("released_at", sa.Double))
    op.create_index(
        "ix_stentor_batches_held",
        "stentor_batches",
        ["campaign_id", "wave"],
        sqlite_where=sa.text("wave IS NOT NULL"),
        postgresql_where=sa.text("wave IS NOT NULL"),
    )
