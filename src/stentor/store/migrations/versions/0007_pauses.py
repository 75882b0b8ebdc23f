"""For how long a campaign was paused, so that a rate is of the time in which it was sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("paused", sa.Double, nullable=False, server_default=sa.text("0")))
    op.add_column("stentor_campaigns", sa.Column("paused_at", sa.Double))
