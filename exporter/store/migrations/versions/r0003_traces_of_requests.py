"""The trace that a request was part of; of requests before, it is unknown.

The column is nullable and has no default, so both databases change their description of the table alone, and no row is
written: it takes the same moment whatever the table holds. PostgreSQL needs the table for itself in that moment: it
waits until those who read it have done, and who comes then waits for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add it."""
    op.add_column(
        "requests",
        sa.Column(
            "trace_id",
            sa.Text(),
            nullable=True,
            comment="Of the sampled trace that it is part of, 32 hexadecimal digits",
        ),
    )


def downgrade() -> None:
    """Remove it. SQLite writes every row anew for that."""
    op.drop_column("requests", "trace_id")
