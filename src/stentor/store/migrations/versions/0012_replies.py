"""What was answered to requests with an idempotency key, and how often a draft was changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stentor_replies",
        sa.Column("owner", KEY, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("question", sa.LargeBinary, nullable=False),
        sa.Column("reserved", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_stentor_replies"),
    )
    op.create_index("ix_stentor_replies_at", "stentor_replies", ["at"])
    op.add_column("stentor_campaigns", sa.Column("revision", sa.Integer, nullable=False, server_default=sa.text("0")))
