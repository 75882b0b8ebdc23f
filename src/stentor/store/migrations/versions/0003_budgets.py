"""What the senders of a lane share: the budget of pushes a second, and when the provider wants quiet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stentor_budgets",
        sa.Column("lane", KEY, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("lane", name="pk_stentor_budgets"),
    )
