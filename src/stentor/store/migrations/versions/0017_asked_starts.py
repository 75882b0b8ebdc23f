"""The time to start that was asked for, so that a start that is taken back leaves it as it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("asked_start", sa.Double))
    op.create_index("ix_stentor_actions_outcome_id", "stentor_actions", ["outcome", "id"])
