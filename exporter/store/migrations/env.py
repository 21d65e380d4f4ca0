"""What Alembic runs: `migrate` hands it a connection with a transaction begun, so that a migration is done or not."""

from __future__ import annotations

from alembic import context

from exporter.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    compare_type=True,
    on_version_apply=context.config.attributes.get("on_step"),
)
context.run_migrations()
