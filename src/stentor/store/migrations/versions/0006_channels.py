"""By what messages of chats are found again, to edit or delete them; and how fast a campaign may go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stentor_receipts",
        sa.Column("batch_id", KEY, nullable=False),
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("receipts", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name="pk_stentor_receipts"),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["stentor_batches.id"], name="fk_stentor_receipts_batch_id", ondelete="CASCADE"
        ),
    )
    op.add_column("stentor_campaigns", sa.Column("max_rate", sa.Double))
    op.create_index("ix_stentor_receipts_campaign_id", "stentor_receipts", ["campaign_id"])
