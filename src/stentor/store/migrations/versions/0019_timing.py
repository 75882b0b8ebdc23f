"""When each recipient of a campaign gets it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("stentor_campaigns", sa.Column("timing", sa.LargeBinary))
