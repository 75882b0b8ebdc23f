"""Segments that people saved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from stentor.store.tables import KEY

revision = "0018"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "stentor_segments",
        sa.Column("name", KEY, primary_key=True),
        sa.Column("segment", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
    )
