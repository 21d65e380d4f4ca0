"""What is old goes: out of sight at once, from the disk in portions; and nobody sees a difference in between."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select

from exporter.errors import StoreError
from exporter.store import migration, retention
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import Period
from exporter.store.reader import read_figures, read_page
from exporter.store.retention import Retention
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS, RETENTION, ROLLUPS, SAMPLES, SETTINGS, TOTALS
from exporter.store.spans import STEPS
from exporter.worker import Worker
from tests.databases import PostgreSQL
from tests.store.requests import (
    DAY_US,
    HOUR_US,
    MIDNIGHT_US,
    MINUTE_US,
    SECOND_US,
    Told,
    brute_force,
    clear,
    count,
    finished,
    in_order,
    write,
)
from tests.store.strategies import INSTANCES, batches, moments, periods, told

Batch = tuple[str, list[Finished]]
Portion = Callable[[Connection], bool]
NOW = (MIDNIGHT_US + 30 * DAY_US) / SECOND_US


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(retention, "PORTION_ROWS", 2)
    monkeypatch.setattr(retention, "PORTION_SECONDS", 0)


def deletions(limit_us: int) -> list[Portion]:
    """In the order in which they are made."""
    of_rollups: list[Portion] = [partial(retention.delete_rollups, step=step, limit_us=limit_us) for step in STEPS]
    return [
        lambda connection: retention.delete_requests(connection, limit_us),
        *of_rollups,
        lambda connection: retention.delete_samples(connection, limit_us),
    ]


def portions(database: Database, portion: Portion) -> Iterator[None]:
    """One after the other, until nothing is left."""
    more = True
    while more:
        with database.write() as connection:
            more = portion(connection)
        yield


def do_all(database: Database, portion: Portion) -> int:
    """How many portions it took."""
    return sum(1 for _ in portions(database, portion))


def check(database: Database, everything: list[Told], asked: list[Period], since_us: int) -> None:
    with database.read() as connection:
        for period in asked:
            found = read_figures(connection, period, MIDNIGHT_US + DAY_US)
            assert in_order(found) == in_order(brute_force(everything, period, MIDNIGHT_US + DAY_US, since_us))
            rows = read_page(connection, period, None, 1000)
            assert len(rows) == sum(group.sums.requests for group in found.groups)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches, st.lists(periods(), min_size=1, max_size=2), moments, moments)
def test_nobody_sees_a_difference_while_portions_go(
    database: Database, written: list[Batch], asked: list[Period], limit_us: int, later_us: int
) -> None:
    clear(database)
    for instance, batch in written:
        write(database, batch, writing=Writing(INSTANCES.index(instance), instance))
    everything = [each for batch in written for each in told(batch)]
    asked = [*asked, Period()]
    since_us = 0
    for limit in (limit_us, later_us):
        since_us = max(since_us, limit)  # a limit that goes back changes nothing
        with database.write() as connection:
            retention.hide(connection, limit)
        check(database, everything, asked, since_us)
        for portion in deletions(limit):
            for _ in portions(database, portion):
                check(database, everything, asked, since_us)
        with database.read() as connection:
            old = select(REQUESTS.c.id).where(REQUESTS.c.finished_us < limit)
            assert connection.execute(old).all() == []
            for step in STEPS:
                past = ROLLUPS.c.start_us <= limit - step * SECOND_US
                whole = select(ROLLUPS.c.start_us).where(ROLLUPS.c.step == step, past)
                assert connection.execute(whole).all() == []


def test_portions_are_small(database: Database) -> None:
    write(database, [finished(MIDNIGHT_US + number) for number in range(5)])
    write(database, samples=[Sample(MIDNIGHT_US + number) for number in range(5)])
    for portion, table in zip(deletions(MIDNIGHT_US + DAY_US)[:: len(STEPS) + 1], ("requests", "samples"), strict=True):
        left = [count(database, table) for _ in portions(database, portion)]
        assert left == [3, 1, 0]


def test_totals_go_on(database: Database) -> None:
    write(database, [finished()] * 3)
    limit = MIDNIGHT_US + DAY_US
    with database.write() as connection:
        retention.hide(connection, limit)
    for portion in deletions(limit):
        do_all(database, portion)
    assert (count(database), count(database, "rollups")) == (0, 0)
    with database.read() as connection:
        assert connection.execute(select(TOTALS.c.requests)).scalar() == 3


def test_what_comes_late_is_hidden_and_deleted(database: Database) -> None:
    """As after an outage that was longer than requests are kept."""
    limit = MIDNIGHT_US + HOUR_US + 1
    with database.write() as connection:
        retention.hide(connection, limit)
    everything = [Told("box:8001", finished(at)) for at in (MIDNIGHT_US, limit - 1, limit, limit + DAY_US)]
    write(database, [each.finished for each in everything])
    check(database, everything, [Period(), Period(MIDNIGHT_US, limit)], limit)
    for portion in deletions(limit):
        do_all(database, portion)
    check(database, everything, [Period(), Period(MIDNIGHT_US, limit)], limit)
    assert count(database) == 2


def read_samples(database: Database) -> list[tuple[str, int, int, float | None]]:
    columns = SAMPLES.c.instance, SAMPLES.c.taken_us, SAMPLES.c.step, SAMPLES.c.load_1m
    with database.read() as connection:
        rows = connection.execute(select(*columns).order_by(SAMPLES.c.taken_us, SAMPLES.c.instance))
        return [(instance, taken, step, load) for instance, taken, step, load in rows]


def test_samples_become_means_of_a_minute(database: Database) -> None:
    taken = [(0, 1.0), (59 * SECOND_US, 2.0), (MINUTE_US, None), (2 * MINUTE_US, 7.0), (DAY_US, 9.0)]
    write(database, samples=[Sample(MIDNIGHT_US + offset, load_1m=load) for offset, load in taken])
    write(database, samples=[Sample(MIDNIGHT_US + 1, load_1m=5.0, gpu_count=2)], writing=Writing(8, "other"))
    expected = [
        ("box:8001", MIDNIGHT_US, 60, 1.5),
        ("other", MIDNIGHT_US, 60, 5.0),
        ("box:8001", MIDNIGHT_US + MINUTE_US, 60, None),
        ("box:8001", MIDNIGHT_US + 2 * MINUTE_US, 0, 7.0),  # its minute is not over
        ("box:8001", MIDNIGHT_US + DAY_US, 0, 9.0),
    ]
    limit = MIDNIGHT_US + 2 * MINUTE_US + 1
    for _ in range(2):  # the second time there is nothing to be done
        do_all(database, lambda connection: retention.thin_samples(connection, limit))
        assert read_samples(database) == expected
    do_all(database, lambda connection: retention.thin_samples(connection, limit + MINUTE_US))
    assert read_samples(database)[3] == ("box:8001", MIDNIGHT_US + 2 * MINUTE_US, 60, 7.0)
    with database.read() as connection:
        assert connection.execute(select(SAMPLES.c.gpu_count).where(SAMPLES.c.instance == "other")).scalar() == 2.0


def test_samples_of_many_hours_in_portions(database: Database) -> None:
    hours = 3
    write(
        database, samples=[Sample(MIDNIGHT_US + number * 20 * SECOND_US, load_1m=1.0) for number in range(180 * hours)]
    )
    limit = MIDNIGHT_US + hours * HOUR_US
    left = [
        sum(1 for sample in read_samples(database) if sample[2] == 0)
        for _ in portions(database, lambda connection: retention.thin_samples(connection, limit))
    ]
    assert left == [360, 180, 0, 0]
    assert [sample[1:] for sample in read_samples(database)] == [
        (MIDNIGHT_US + number * MINUTE_US, 60, 1.0) for number in range(60 * hours)
    ]


def test_two_sidecars_thin_once(database: Database) -> None:
    """They look at the same moment, again and again."""
    samples = [Sample(MIDNIGHT_US + number * 10 * SECOND_US, load_1m=float(number % 6)) for number in range(6 * 60 * 6)]
    write(database, samples=samples)
    limit, together = MIDNIGHT_US + 6 * HOUR_US, threading.Barrier(2)
    url = f"sqlite:///{database.file}" if database.file else database.url.render_as_string(hide_password=False)
    others = [Database(url.replace("+psycopg", "")) for _ in range(2)]
    failures: list[BaseException] = []

    def thin(own: Database) -> None:
        try:
            more = True
            while more:
                together.wait(20)
                with own.write() as connection:
                    more = retention.thin_samples(connection, limit)
        except threading.BrokenBarrierError:
            pass  # the other has seen that there is nothing left
        except BaseException as error:
            failures.append(error)
        finally:
            together.abort()
            own.close()

    threads = [threading.Thread(target=thin, args=(each,)) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    do_all(database, lambda connection: retention.thin_samples(connection, limit))
    assert read_samples(database) == [
        ("box:8001", MIDNIGHT_US + number * MINUTE_US, 60, 2.5) for number in range(6 * 60)
    ]


def fill(database: Database) -> None:
    with database.write() as connection:
        rows = [
            {"instance": "box:8001", "name": str(number), "document": "x" * 2000, "created_us": 1, "updated_us": 1}
            for number in range(1000)
        ]
        connection.execute(insert(SETTINGS), rows)
    with database.write() as connection:
        connection.execute(SETTINGS.delete())


def size(file: Path) -> int:
    """Without what is only in the log."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return file.stat().st_size


def test_freed_pages_go_back(tmp_path: Path) -> None:
    file = tmp_path / "history.db"
    database = Database(f"sqlite:///{file}")
    migration.migrate(database)
    fill(database)
    before = size(file)
    assert do_all(database, retention.give_back) >= 2  # in portions
    assert before > 2_000_000
    assert size(file) < 200_000
    database.close()


def test_a_file_that_gives_nothing_back_is_let_be(tmp_path: Path) -> None:
    """As one that was made from a dump: its header says that it does not shrink."""
    file = tmp_path / "history.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE something (id INTEGER)")
    database = Database(f"sqlite:///{file}")
    migration.migrate(database)
    fill(database)
    assert do_all(database, retention.give_back) <= 2
    database.close()


def make(database: Database, keep_seconds: int | None = DAY_US // SECOND_US, **changes: object) -> Retention:
    options: dict[str, object] = {"is_open": lambda: True, "wall": lambda: NOW} | changes
    return Retention(database, Worker("test"), keep_seconds, **options)  # type: ignore[arg-type]


async def test_all_at_once(database: Database) -> None:
    now_us = round(NOW * SECOND_US)
    moments = [now_us - offset for offset in (0, 1, DAY_US, DAY_US + 1, 29 * DAY_US)]
    everything = [Told("box:8001", finished(at)) for at in moments]
    write(database, [each.finished for each in everything], [Sample(at) for at in moments])
    assert make(database).size_bytes is None  # not measured yet
    tidy = make(database)
    await tidy.tidy()
    assert tidy.size_bytes is not None
    assert tidy.size_bytes > 10_000
    assert (count(database), count(database, "samples")) == (3, 3)
    check(database, everything, [Period(), Period(moments[-1])], now_us - DAY_US)
    await make(database, 30 * DAY_US // SECOND_US).tidy()  # longer from now on: nothing comes back
    check(database, everything, [Period(), Period(moments[-1])], now_us - DAY_US)


async def test_for_ever(database: Database) -> None:
    everything = [Told("box:8001", finished(MIDNIGHT_US - number * DAY_US)) for number in range(900)]
    write(database, [each.finished for each in everything], [Sample(MIDNIGHT_US), Sample(MIDNIGHT_US + 1)])
    await make(database, None).tidy()
    check(database, everything, [Period()], 0)
    assert [sample[2] for sample in read_samples(database)] == [60]
    with database.read() as connection:
        assert connection.execute(select(RETENTION.c.kept_since_us)).scalar() == 0


async def test_nothing_is_touched_before_the_store_is_open(tmp_path: Path) -> None:
    looked = asyncio.Event()

    def is_open() -> bool:
        looked.set()
        return False

    file = tmp_path / "history.db"
    task = asyncio.create_task(make(Database(f"sqlite:///{file}"), is_open=is_open).run())
    await looked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not file.exists()


async def test_an_outage_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The writer says that the database is away; nobody else does so again."""
    caplog.set_level(logging.INFO, logger="exporter")
    monkeypatch.setattr(retention, "INTERVAL_SECONDS", 0)
    tries = 0

    def measure(*_: object) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StoreError("away")
        return 5

    monkeypatch.setattr(retention, "measure", measure)
    own = make(database)
    task = asyncio.create_task(own.run())
    async with asyncio.timeout(20):
        while own.size_bytes is None:
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.messages == []
    await own._do(lambda _: None)  # what it was at is finished


async def test_what_goes_on_failing_is_said_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="exporter")
    monkeypatch.setattr(retention, "INTERVAL_SECONDS", 0)
    tries = 0

    def measure(*_: object) -> int:
        nonlocal tries
        tries += 1
        raise StoreError("no rights to delete")

    monkeypatch.setattr(retention, "measure", measure)
    own = make(database)
    task = asyncio.create_task(own.run())
    async with asyncio.timeout(20):
        while tries < 3 * retention.PATIENCE:
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.messages == ["what is old cannot be deleted from the store"]
    await own._do(lambda _: None)


async def test_a_clock_that_was_far_ahead(database: Database) -> None:
    """What it hid stays hidden; what comes is seen, and samples are thinned again."""
    write(database, [finished(MIDNIGHT_US)], samples=[Sample(MIDNIGHT_US)])
    years_ahead = (MIDNIGHT_US + 20 * 365 * DAY_US) / SECOND_US
    await make(database, keep_seconds=DAY_US // SECOND_US, wall=lambda: years_ahead).tidy()
    now_us = MIDNIGHT_US + 2 * DAY_US
    write(database, [finished(now_us)], samples=[Sample(MIDNIGHT_US + HOUR_US)])
    with database.read() as connection:
        assert read_page(connection, Period(), None, 10) == []
    await make(database, keep_seconds=30 * DAY_US // SECOND_US, wall=lambda: now_us / SECOND_US).tidy()
    with database.read() as connection:
        assert [row.finished_us for row in read_page(connection, Period(), None, 10)] == [now_us]
    assert [sample[2] for sample in read_samples(database)] == [60]


@pytest.mark.usefixtures("no_complaints")
@pytest.mark.parametrize("fails", [False, True])
async def test_a_stop_in_the_middle_of_a_portion(database: Database, fails: bool) -> None:
    """The portion is finished in its thread; the connection goes back; what became of it nobody wants to know."""
    write(database, [finished()] * 5)
    begun, may_go_on = threading.Event(), threading.Event()
    own = make(database)

    def portion(connection: Connection) -> bool:
        connection.execute(REQUESTS.delete())
        begun.set()
        assert may_go_on.wait(20)
        if fails:
            raise StoreError("away")
        return False

    task = asyncio.create_task(own._do(portion))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    left = await own._do(lambda connection: len(connection.execute(select(REQUESTS)).all()))
    assert left == (5 if fails else 0)


def test_sizes_on_the_server(postgresql: PostgreSQL) -> None:
    database = Database(postgresql.create())
    migration.migrate(database)
    with database.write() as connection:
        empty = retention.measure(connection, database)
    write(database, [finished()] * 2000)
    with database.write() as connection:
        full = retention.measure(connection, database)
    assert empty is not None
    assert full is not None
    assert full > empty + 200_000
    database.close()
