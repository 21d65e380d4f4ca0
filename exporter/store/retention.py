"""Forgets what is old: in small portions in the writer's thread, between its batches.

What is to go is out of sight at once, by one moment that is moved (`retention.kept_since_us`); the rows are deleted at
leisure. Samples older than a day become means of a minute. `app` runs it in the background.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, cast, delete, func, insert, literal, literal_column, select, update
from sqlalchemy.dialects import postgresql

from exporter.errors import StoreError
from exporter.store.database import Database
from exporter.store.schema import METADATA, REQUESTS, RETENTION, ROLLUPS, SAMPLES
from exporter.store.spans import DAY, HOUR, MINUTE, STEPS
from exporter.worker import Worker, outcome

T = TypeVar("T")

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
OPENING_SECONDS = 0.5
"""Between two looks at whether the store is open yet."""
PATIENCE = 3
"""Failures in a row, minutes apart, before anything is said."""
PAUSE_SECONDS = 0.1
"""Between two portions, in which the writer gets its turn."""
PORTION_ROWS = 1000
PORTION_SECONDS = 6 * HOUR
"""Of roll-ups that are deleted at a time; a day of those of days."""
PORTION_PAGES = 500
"""Free pages of SQLite that are given back to the file system at a time."""
SECOND_US = 1_000_000
KEPT_AS_SAMPLED_US = DAY * SECOND_US
MEANS = tuple(column.name for column in SAMPLES.columns if column.name not in ("id", "instance", "taken_us", "step"))


class Retention:
    """Of one store."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        keep_seconds: int | None,
        *,
        is_open: Callable[[], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`keep_seconds`: None keeps requests and samples for ever. `worker` is the writer's."""
        self._database = database
        self._worker = worker
        self._keep_seconds = keep_seconds
        self._is_open = is_open
        self._wall = wall
        self.size_bytes: int | None = None
        """Of everything on the disk, as it was measured last."""

    async def run(self) -> None:
        """Look once a minute, for ever. That the database is away is the writer's to say; what keeps failing while it
        is there is said once."""
        failures = 0
        while True:
            if not self._is_open():
                await asyncio.sleep(OPENING_SECONDS)
                continue
            try:
                await self.tidy()
                failures = 0
            except StoreError as error:
                failures += 1
                level = logging.WARNING if failures == PATIENCE else logging.DEBUG
                log.log(level, "what is old cannot be deleted from the store", extra={"reason": str(error)})
            await asyncio.sleep(INTERVAL_SECONDS)

    async def tidy(self) -> None:
        """Do all that is to be done now. Raises StoreError when the database is away."""
        now_us = int(self._wall() * SECOND_US)
        self.size_bytes = await self._do(lambda connection: measure(connection, self._database))
        await self._do(lambda connection: come_back(connection, now_us))
        if self._keep_seconds is not None:
            limit_us = now_us - self._keep_seconds * SECOND_US
            await self._do(lambda connection: hide(connection, limit_us))
            await self._do_all(lambda connection: delete_requests(connection, limit_us))
            for step in STEPS:
                await self._do_all(partial(delete_rollups, step=step, limit_us=limit_us))
            await self._do_all(lambda connection: delete_samples(connection, limit_us))
        await self._do_all(lambda connection: thin_samples(connection, now_us - KEPT_AS_SAMPLED_US))
        if self._database.is_sqlite:
            await self._do_all(give_back)

    async def _do_all(self, portion: Callable[[Connection], bool]) -> None:
        """Portion by portion, until one says that nothing is left."""
        more = True
        while more:
            more = await self._do(portion)
            await asyncio.sleep(PAUSE_SECONDS if more else 0)

    async def _do(self, portion: Callable[[Connection], T]) -> T:
        return await outcome(self._worker.submit(lambda: self._work(portion)))

    def _work(self, portion: Callable[[Connection], T]) -> T:
        with self._database.write() as connection:
            return portion(connection)


def hide(connection: Connection, limit_us: int) -> None:
    """From now on nobody sees what finished before the limit. What is gone does not come back when the limit does."""
    moved = update(RETENTION).where(RETENTION.c.kept_since_us < limit_us).values(kept_since_us=limit_us)
    connection.execute(moved)


def come_back(connection: Connection, now_us: int) -> None:
    """After a clock that was far ahead. What it hid is hidden still, for some of it may be gone; what comes is not."""
    ahead = RETENTION.c.kept_since_us > now_us
    connection.execute(update(RETENTION).where(ahead).values(kept_since_us=now_us))
    connection.execute(update(RETENTION).where(RETENTION.c.thinned_until_us > now_us).values(thinned_until_us=0))


def delete_requests(connection: Connection, limit_us: int) -> bool:
    """A portion of the requests that finished before the limit; whether there may be more."""
    old = select(REQUESTS.c.id).where(REQUESTS.c.finished_us < limit_us).order_by(REQUESTS.c.finished_us)
    done = connection.execute(delete(REQUESTS).where(REQUESTS.c.id.in_(old.limit(PORTION_ROWS))))
    return done.rowcount >= PORTION_ROWS


def delete_rollups(connection: Connection, step: int, limit_us: int) -> bool:
    """A portion of those that end before the limit; whether there may be more. One in which the limit lies is still
    wanted by nobody, for its period begins before the limit, but it is not all old."""
    oldest = connection.execute(select(func.min(ROLLUPS.c.start_us)).where(ROLLUPS.c.step == step)).scalar()
    last_us = limit_us - step * SECOND_US
    if oldest is None or oldest > last_us:
        return False
    end_us = min(oldest + max(step, PORTION_SECONDS) * SECOND_US, last_us + 1)
    connection.execute(delete(ROLLUPS).where(ROLLUPS.c.step == step, ROLLUPS.c.start_us < end_us))
    return True


def delete_samples(connection: Connection, limit_us: int) -> bool:
    """A portion of the samples taken before the limit; whether there may be more."""
    old = select(SAMPLES.c.id).where(SAMPLES.c.taken_us < limit_us).order_by(SAMPLES.c.taken_us).limit(PORTION_ROWS)
    return connection.execute(delete(SAMPLES).where(SAMPLES.c.id.in_(old))).rowcount >= PORTION_ROWS


def thin_samples(connection: Connection, limit_us: int) -> bool:
    """Replace samples taken before the limit by their means of each minute, an hour of them at a time; whether there
    may be more. Of several sidecars that try at once, one does it."""
    limit_us -= limit_us % (MINUTE * SECOND_US)
    until_us = connection.execute(select(RETENTION.c.thinned_until_us)).scalar_one()
    oldest = select(func.min(SAMPLES.c.taken_us)).where(SAMPLES.c.step == 0)
    oldest_us = connection.execute(oldest).scalar()
    if oldest_us is None or oldest_us >= limit_us:
        return False
    start_us = oldest_us - oldest_us % (MINUTE * SECOND_US)
    end_us = min(start_us + HOUR * SECOND_US, limit_us)
    moved = update(RETENTION).where(RETENTION.c.thinned_until_us == until_us).values(thinned_until_us=end_us)
    if connection.execute(moved).rowcount:
        _replace_by_means(connection, start_us, end_us)
    return True


def _replace_by_means(connection: Connection, start_us: int, end_us: int) -> None:
    within = SAMPLES.c.step == 0, SAMPLES.c.taken_us >= start_us, SAMPLES.c.taken_us < end_us
    # As it stands: PostgreSQL would take the same parameter in two places for two.
    minute = SAMPLES.c.taken_us - SAMPLES.c.taken_us % literal_column(str(MINUTE * SECOND_US), BigInteger)
    columns: list[Any] = [SAMPLES.c.instance, minute, literal(MINUTE)]
    means = select(*columns, *(func.avg(SAMPLES.c[name]) for name in MEANS)).where(*within)
    means = means.group_by(SAMPLES.c.instance, minute)
    connection.execute(insert(SAMPLES).from_select(["instance", "taken_us", "step", *MEANS], means))
    connection.execute(delete(SAMPLES).where(*within))


def give_back(connection: Connection) -> bool:
    """Give free pages of the file back to the file system; whether there may be more. A file that was made in another
    way than by us, from a dump for example, gives nothing back."""
    before = _free_pages(connection)
    driver: Any = connection.connection.driver_connection
    # Each page is a row without columns, which SQLAlchemy does not fetch; but only what is fetched is done.
    driver.execute(f"PRAGMA incremental_vacuum({PORTION_PAGES})").fetchall()
    return 0 < _free_pages(connection) < before


def _free_pages(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())


def measure(connection: Connection, database: Database) -> int | None:
    """Bytes on the disk: of the file and its log, or of our tables and their indexes."""
    if database.file is not None:
        return _size_bytes(database.file) + _size_bytes(f"{database.file}-wal")
    sizes = [func.pg_total_relation_size(cast(table.name, postgresql.REGCLASS)) for table in METADATA.sorted_tables]
    return sum(connection.execute(select(*sizes)).one())


def _size_bytes(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:  # the log comes and goes
        return 0
