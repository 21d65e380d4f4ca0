"""What is done once, in the writer's thread, before anything is written: tables, and what was there before."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select

from exporter.errors import StoreError
from exporter.store import migration
from exporter.store.database import Database
from exporter.store.figures import StoredTotals
from exporter.store.schema import REQUESTS, TOTALS


class Opened(NamedTuple):
    """A store that can be written."""

    newest_row: int
    """Highest number of a row; those of a new run come after it."""
    totals: tuple[StoredTotals, ...]
    """What this sidecar had summed up before."""


def open_store(database: Database, instance: str, *, auto_migrate: bool) -> Opened:
    """Open it. Raises StoreError when that is not possible now."""
    try:
        return _open(database, instance, auto_migrate=auto_migrate)
    except StoreError:
        database.close()  # the next try takes the file that is there by then
        raise


def _open(database: Database, instance: str, *, auto_migrate: bool) -> Opened:
    if auto_migrate:
        migration.migrate(database)
    else:
        migration.check(migration.version(database))
    with database.write() as connection:  # a read would not tell whether it can be written
        newest = connection.execute(select(func.max(REQUESTS.c.id))).scalar() or 0
        columns = [TOTALS.c[name] for name in StoredTotals._fields]
        totals = connection.execute(select(*columns).where(TOTALS.c.instance == instance))
        return Opened(newest, tuple(StoredTotals._make(row) for row in totals))
