"""Lists of installations by channel, app, and whether their address is dead."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for name, condition in (("alive", sa.text("dead_at IS NULL")), ("dead", sa.text("dead_at IS NOT NULL"))):
        op.create_index(
            f"ix_stentor_installations_{name}",
            "stentor_installations",
            ["channel", "app", "id"],
            sqlite_where=condition,
            postgresql_where=condition,
        )
