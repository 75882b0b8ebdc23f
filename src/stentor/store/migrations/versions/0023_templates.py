"""Templates that people saved, in all their versions, and the version that a campaign was made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "stentor_templates",
        sa.Column("name", KEY, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stentor_templates"),
    )
    op.create_table(
        "stentor_template_versions",
        sa.Column("name", KEY, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("saved_at", sa.Double, nullable=False),
        sa.Column("saved_by", sa.Text, nullable=False),
        sa.Column("restored", sa.Integer),
        sa.PrimaryKeyConstraint("name", "version", name="pk_stentor_template_versions"),
    )
    op.add_column("stentor_campaigns", sa.Column("template_name", sa.Text))
    op.add_column("stentor_campaigns", sa.Column("template_version", sa.Integer))
