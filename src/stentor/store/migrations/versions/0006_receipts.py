"""By what messages can be found again that chats were sent, to edit or delete them."""

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
    op.create_index("ix_stentor_receipts_campaign_id", "stentor_receipts", ["campaign_id"])
