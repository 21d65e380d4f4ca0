"""Models and settings belong to one sidecar. Nothing has written these tables before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them anew: SQLite cannot change a key."""
    for name, documents in (("models", "All that is known of it"), ("settings", "Those that are not as by default")):
        op.drop_table(name)
        op.create_table(
            name,
            sa.Column("instance", sa.Text(), nullable=False, comment="The sidecar: store.instance"),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("document", sa.JSON(), nullable=False, comment=documents),
            sa.Column("created_us", sa.BigInteger(), nullable=False, comment="When it was first written"),
            sa.Column("updated_us", sa.BigInteger(), nullable=False, comment="When it was written last"),
            sa.PrimaryKeyConstraint("instance", "name"),
        )


def downgrade() -> None:
    """As they were, with nothing in them."""
    op.drop_table("models")
    op.create_table(
        "models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.drop_table("settings")
    op.create_table(
        "settings",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
