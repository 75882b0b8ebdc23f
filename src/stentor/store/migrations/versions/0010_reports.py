"""Reports and alarms: what happened, and what became of telling each target of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WAITING = sa.text("status = 'waiting'")


def upgrade() -> None:
    op.create_table(
        "stentor_report_events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("campaign_id", KEY),
        sa.Column("lane", KEY),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_report_events"),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["stentor_campaigns.id"],
            name="fk_stentor_report_events_campaign_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_stentor_report_events_campaign_id", "stentor_report_events", ["campaign_id"])
    op.create_index("ix_stentor_report_events_lane_at", "stentor_report_events", ["lane", "at"])
    op.create_table(
        "stentor_report_deliveries",
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("begun_at", sa.Double, nullable=False),
        sa.Column("ready_at", sa.Double, nullable=False),
        sa.Column("lease", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("tried_at", sa.Double),
        sa.Column("answer_status", sa.Integer),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("event_id", "target", name="pk_stentor_report_deliveries"),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["stentor_report_events.id"],
            name="fk_stentor_report_deliveries_event_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_stentor_report_deliveries_waiting",
        "stentor_report_deliveries",
        ["target", "ready_at"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index("ix_stentor_report_deliveries_created_at", "stentor_report_deliveries", ["created_at"])
    op.create_index("ix_stentor_campaigns_finished_at", "stentor_campaigns", ["finished_at"])
