"""Idempotency keys of requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ingestion.store.columns import StoredText, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("key_id", StoredText(), nullable=False),
        sa.Column("fingerprint", StoredText(), nullable=False),
        sa.Column("resource_id", StoredText(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("body", StoredText(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_in_order", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    op.drop_table("idempotency_keys")
