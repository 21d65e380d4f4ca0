"""The trace that a request was part of, of requests before unknown; and an index for the newest of one sidecar.

The column is nullable and has no default, so both databases change their description of the table alone, and no row is
written. The index reads every row, which takes a second or two for a million.

PostgreSQL needs the table for itself, and so it does for the index: one that was made first would let others read
meanwhile, but a batch has read the table before it waits to write, and each would wait for the other then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add both."""
    op.add_column(
        "requests",
        sa.Column(
            "trace_id",
            sa.Text(),
            nullable=True,
            comment="Of the sampled trace that it is part of, 32 hexadecimal digits",
        ),
    )
    op.create_index("requests_instance", "requests", ["instance", "id"], unique=False)


def downgrade() -> None:
    """Remove both. SQLite writes every row anew for the column."""
    op.drop_index("requests_instance", table_name="requests")
    op.drop_column("requests", "trace_id")
