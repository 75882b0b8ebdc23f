"""The failures of one kind, in the order of the list."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index(
        "ix_stentor_failures_kind",
        "stentor_failures",
        ["campaign_id", "lane", "reason", "outcome", "dead", "batch_id"],
    )
    op.drop_index("ix_stentor_failures_campaign_id_lane_reason", "stentor_failures")
