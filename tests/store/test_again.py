"""A batch that nobody heard the end of: it is not lost, and it is not written twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event, func, select

from exporter.errors import StoreError
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS
from tests.databases import PostgreSQL
from tests.store.requests import MIDNIGHT_US, MINUTE_US, check_sums, count, finished, request_ids, write
from tests.store.severed import Wire

BEFORE = [finished(request_id=f"before-{number}") for number in range(3)]
BATCH = [finished(MIDNIGHT_US + number * MINUTE_US, request_id=f"batch-{number}") for number in range(5)]
SAMPLES = [Sample(MIDNIGHT_US, load_1m=1.0), Sample(MIDNIGHT_US + 1)]
REFUSED = finished(request_id="refused", duration_seconds=float("nan"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("requests", "samples"),
    [
        pytest.param(BATCH, SAMPLES, id="both"),
        pytest.param(BATCH, [], id="requests"),
        pytest.param([], SAMPLES, id="samples"),
        pytest.param([*BATCH[:2], REFUSED], SAMPLES, id="with one that is refused"),
        pytest.param([REFUSED], SAMPLES, id="all requests refused"),
    ],
)
def test_all_of_it_exactly_once(
    severed: tuple[Database, Callable[[str], None]],
    when: str,
    requests: Sequence[Finished],
    samples: Sequence[Sample],
) -> None:
    database, cut = severed
    after = write(database, BEFORE).after
    cut(when)
    with pytest.raises(StoreError):
        write(database, requests, samples, after=after)
    written = write(database, requests, samples, after=after, again=True)
    good = [each.record.request_id for each in requests if each is not REFUSED]
    expected = [each.record.request_id for each in BEFORE] + good
    assert request_ids(database) == expected
    assert count(database, "samples") == len(samples)
    assert written.after == newest(database)
    write(database, BATCH[:1], after=written.after)
    assert request_ids(database) == [*expected, "batch-0"]
    check_sums(database)


def test_a_commit_that_arrives_when_the_batch_is_being_written_again(behind_wire: Database, wire: Wire) -> None:
    """The first try still holds its locks, and is done after all."""
    after = write(behind_wire, BEFORE).after
    wire.cut("late")
    with pytest.raises(StoreError):
        write(behind_wire, BATCH, SAMPLES, after=after)
    assert wire.was_cut.wait(20)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(write, behind_wire, BATCH, SAMPLES, after=after, again=True)
        _wait_for_a_lock(behind_wire)
        wire.may_go_on.set()
        assert second.result(20).after == newest(behind_wire)
    assert request_ids(behind_wire) == [each.record.request_id for each in (*BEFORE, *BATCH)]
    assert count(behind_wire, "samples") == len(SAMPLES)
    check_sums(behind_wire)


def newest(database: Database) -> int:
    """The highest number of a row."""
    with database.read() as connection:
        return int(connection.execute(select(func.max(REQUESTS.c.id))).scalar_one())


def _wait_for_a_lock(database: Database) -> None:
    """Until somebody waits for one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with database.read() as connection:
            if connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("part", ["requests", "rollups", "totals", "samples"])
def test_a_server_that_ends_the_connection_in_the_middle(postgresql: PostgreSQL, part: str) -> None:
    database = Database(postgresql.create(postgresql.migrated))
    write(database, BEFORE)

    @event.listens_for(database.writing, "before_cursor_execute")
    def end(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"INSERT INTO {part}"):
            event.remove(database.writing, "before_cursor_execute", end)
            postgresql.execute(f"SELECT pg_terminate_backend({cursor.connection.info.backend_pid}, 10000)")

    with pytest.raises(StoreError, match="terminating connection"):
        write(database, BATCH, SAMPLES)
    assert request_ids(database) == [each.record.request_id for each in BEFORE]
    write(database, BATCH, SAMPLES, again=True)
    assert count(database) == len(BEFORE) + len(BATCH)
    assert count(database, "samples") == len(SAMPLES)
    check_sums(database)
    database.close()


def test_rows_of_others_are_not_taken_for_its_own(database: Database) -> None:
    """Another sidecar, or another run of this one, has written since."""
    mine, other = Writing(1, "a"), Writing(2, "a")
    write(database, BEFORE, writing=other)
    assert write(database, BATCH[:2], SAMPLES, writing=mine, after=0, again=True).after == len(BEFORE) + 2
    write(database, BEFORE, writing=other)
    assert write(database, BATCH[2:], writing=mine, after=len(BEFORE) + 2, again=True).refused == []
    assert count(database) == 2 * len(BEFORE) + len(BATCH)
    check_sums(database)
