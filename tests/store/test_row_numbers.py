"""Rows are told apart by their numbers: what is written later has higher ones than all that was written before."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import delete, func, select

from exporter.store import batch, migration
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.rows import Finished
from exporter.store.schema import REQUESTS, ROLLUPS, TOTALS
from tests.telemetry.examples import record


def test_what_comes_after_the_newest_rows_were_deleted_is_summed_up(tmp_path: Path) -> None:
    """As when nobody asks for longer than requests are kept."""
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    migration.migrate(database)
    writing = Writing(1, "box:8001")
    finished = [Finished(record(), "m")] * 3
    after = batch.write(database, writing, 0, finished, []).after
    with database.write() as connection:
        connection.execute(delete(REQUESTS))
    batch.write(database, writing, after, finished[:2], [])
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(REQUESTS)).scalar() == 2
        assert connection.execute(select(func.sum(ROLLUPS.c.requests)).where(ROLLUPS.c.step == 60)).scalar() == 3 + 2
        assert connection.execute(select(func.sum(TOTALS.c.requests))).scalar() == 3 + 2
    database.close()
