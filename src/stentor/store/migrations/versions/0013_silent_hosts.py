"""That of a lane only some hosts are silent, and how many wait for these."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("stentor_lanes", sa.Column("waiting", sa.BigInteger))
