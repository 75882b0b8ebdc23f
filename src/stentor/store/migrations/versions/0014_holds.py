"""Until when the start of a campaign is held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("held_until", sa.Double))
