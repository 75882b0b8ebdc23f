"""For queues outside the store's transactions: chains keep their next step, and batches their edition."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("stentor_chains", sa.Column("next", sa.LargeBinary))
    op.add_column("stentor_batches", sa.Column("edition", sa.Text))
