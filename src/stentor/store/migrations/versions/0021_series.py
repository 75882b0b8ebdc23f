"""Recurring campaigns, and campaigns that pause by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("pause_above", sa.Double))
    op.add_column("stentor_campaigns", sa.Column("pause_from", sa.LargeBinary))
    op.create_table(
        "stentor_series",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("missed", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("next_at", sa.Double),
        sa.Column("revision", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_series"),
        sa.ForeignKeyConstraint(["id"], ["stentor_campaigns.id"], name="fk_stentor_series_id", ondelete="CASCADE"),
    )
    op.create_index("ix_stentor_series_name", "stentor_series", ["name"], unique=True)
    op.create_index("ix_stentor_series_next_at", "stentor_series", ["next_at"])
    op.create_table(
        "stentor_series_runs",
        sa.Column("series_id", KEY, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("runs", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("until", sa.Double, nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("series_id", "due", name="pk_stentor_series_runs"),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["stentor_series.id"],
            name="fk_stentor_series_runs_series_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index(
        "ix_stentor_series_runs_due",
        "stentor_series_runs",
        ["until"],
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
