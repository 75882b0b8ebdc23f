"""Which Stentors may use the tables: an older one goes on while roles are upgraded one after the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table("stentor_schema", sa.Column("compatible", sa.Text, nullable=False))
