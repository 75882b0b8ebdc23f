"""Opt-outs, exclusion lists, and what caps need: whom a campaign leaves alone, and between which keys a batch lies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0018"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("care", sa.LargeBinary))
    op.add_column("stentor_campaigns", sa.Column("same_as", KEY))
    op.add_column("stentor_batches", sa.Column("first_key", sa.LargeBinary))
    op.add_column("stentor_batches", sa.Column("last_key", sa.LargeBinary))
    op.create_index("ix_stentor_batches_keys", "stentor_batches", ["campaign_id", "first_key", "last_key"])
    op.create_table(
        "stentor_opt_outs",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("category", KEY, nullable=False),
        sa.Column("installation", KEY),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("hash", "category", name="pk_stentor_opt_outs"),
    )
    op.create_index("ix_stentor_opt_outs_installation_category", "stentor_opt_outs", ["installation", "category"])
    op.create_table(
        "stentor_exclusion_lists",
        sa.Column("name", KEY, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stentor_exclusion_lists"),
    )
    op.create_table(
        "stentor_exclusions",
        sa.Column("list", KEY, nullable=False),
        sa.Column("installation", KEY, nullable=False),
        sa.PrimaryKeyConstraint("list", "installation", name="pk_stentor_exclusions"),
        sa.ForeignKeyConstraint(
            ["list"], ["stentor_exclusion_lists.name"], name="fk_stentor_exclusions_list", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_stentor_exclusions_installation", "stentor_exclusions", ["installation"])
