"""Who may do what: keys, users, sessions, links, failed sign-ins, a key to sign with, and the log of actions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _keys()
    _users()
    _sessions()
    op.create_table(
        "stentor_attempts",
        sa.Column("name", KEY, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stentor_attempts"),
    )
    op.create_index("ix_stentor_attempts_at", "stentor_attempts", ["at"])
    op.create_table(
        "stentor_signing_keys",
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stentor_signing_keys"),
    )
    op.create_table(
        "stentor_actions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("caller_id", KEY, nullable=False),
        sa.Column("caller_name", sa.Text, nullable=False),
        sa.Column("caller_kind", sa.Text, nullable=False),
        sa.Column("action", KEY, nullable=False),
        sa.Column("object", KEY, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_actions"),
    )
    for column in ("caller_id", "action", "object"):
        op.create_index(f"ix_stentor_actions_{column}_id", "stentor_actions", [column, "id"])


def _keys() -> None:
    op.create_table(
        "stentor_keys",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("last_used_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_keys"),
    )
    op.create_table(
        "stentor_key_secrets",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("key_id", KEY, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("last_used_at", sa.Double),
        sa.PrimaryKeyConstraint("hash", name="pk_stentor_key_secrets"),
        sa.ForeignKeyConstraint(
            ["key_id"], ["stentor_keys.id"], name="fk_stentor_key_secrets_key_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_stentor_key_secrets_key_id", "stentor_key_secrets", ["key_id"])


def _users() -> None:
    op.create_table(
        "stentor_users",
        sa.Column("id", KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("folded", KEY, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("password_at", sa.Double),
        sa.Column("issuer", KEY),
        sa.Column("subject", KEY),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("disabled_at", sa.Double),
        sa.Column("signed_in_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_users"),
    )
    op.create_index("ix_stentor_users_folded", "stentor_users", ["folded"], unique=True)
    op.create_index("ix_stentor_users_issuer_subject", "stentor_users", ["issuer", "subject"], unique=True)


def _sessions() -> None:
    op.create_table(
        "stentor_sessions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("hash", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stentor_sessions"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["stentor_users.id"], name="fk_stentor_sessions_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_stentor_sessions_hash", "stentor_sessions", ["hash"], unique=True)
    op.create_index("ix_stentor_sessions_user_id", "stentor_sessions", ["user_id"])
    op.create_index("ix_stentor_sessions_ends_at", "stentor_sessions", ["ends_at"])
    op.create_table(
        "stentor_links",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("user_id", KEY),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("used_by", sa.Text),
        sa.PrimaryKeyConstraint("hash", name="pk_stentor_links"),
        sa.ForeignKeyConstraint(["user_id"], ["stentor_users.id"], name="fk_stentor_links_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_stentor_links_user_id", "stentor_links", ["user_id"])
    op.create_index("ix_stentor_links_ends_at", "stentor_links", ["ends_at"])
