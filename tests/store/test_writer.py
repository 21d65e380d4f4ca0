"""The writer: traffic never waits for it; what finishes is written once, in order, whatever happens in between."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from exporter.errors import StoreError
from exporter.record import RequestRecord
from exporter.settings.store import StoreSettings
from exporter.store import database as database_module
from exporter.store import migration, writer
from exporter.store.batch import Writing
from exporter.store.database import Database
from exporter.store.figures import Period, StoredTotals
from exporter.store.opening import open_store
from exporter.store.sample import Sample
from exporter.store.schema import REQUESTS, SAMPLES
from exporter.store.store import Store
from exporter.store.writer import Writer
from exporter.tasks import Supervisor
from tests.databases import PASSWORD, PostgreSQL
from tests.store.requests import MIDNIGHT_US, SECOND_US, check_sums, count, finished, request_ids, write
from tests.store.severed import Wire

pytestmark = pytest.mark.usefixtures("no_complaints")
LIMIT_SECONDS = 30.0
NOTHING_DROPPED = {"queue_full": 0, "refused": 0, "shutdown": 0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="exporter")
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.002)
    monkeypatch.setattr(writer, "FIRST_DELAY_SECONDS", 0.002)
    monkeypatch.setattr(writer, "LONGEST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.02)


def numbered(number: int, **changes: Any) -> RequestRecord:
    return finished(MIDNIGHT_US + number * SECOND_US, request_id=f"r-{number}", **changes).record


def names(count: int) -> list[str]:
    return [f"r-{number}" for number in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def end(own: Writer, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Close it, and wait for its thread."""
    thread = own.worker._thread
    await own.close(limit_seconds)
    if thread is not None:
        await asyncio.to_thread(thread.join, LIMIT_SECONDS)


@asynccontextmanager
async def running(own: Writer) -> AsyncIterator[Writer]:
    """It runs, and is closed at the end."""
    task = asyncio.create_task(own.run())
    try:
        yield own
    finally:
        await stop(task)
        await end(own)


def reopened(url: str) -> Database:
    return Database(url)


class Held:
    """The next statement to some table waits in the thread of the writer."""

    def __init__(self, database: Database, table: str = "totals") -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()

        @event.listens_for(database.writing, "before_cursor_execute")
        def hold(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(f"INSERT INTO {table}") and not self.begun.is_set():
                self.begun.set()
                assert self.may_go_on.wait(LIMIT_SECONDS)


async def test_what_finishes_is_written(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    opened: list[Sequence[StoredTotals]] = []
    own = Writer(Database(store_url), "box:8001", on_open=opened.append, size_bytes=lambda: 7)
    assert own.status().up is False
    async with running(own):
        own.record(numbered(0))
        await until(lambda: own.is_open)
        for number in range(1, 5):
            own.record(numbered(number))
        own.sample(Sample(MIDNIGHT_US, load_1m=1.5))
        await until(lambda: own.status().written == 6)
        status = own.status()
        assert (status.up, status.queue_length, status.queue_limit) == (True, 0, 20_000)
        assert (status.dropped, status.size_bytes) == (NOTHING_DROPPED, 7)
        assert 0 < status.write_seconds < LIMIT_SECONDS
        own.record(numbered(5))
    assert opened == [()]
    database = reopened(store_url)
    assert request_ids(database) == names(6)  # the last at the end
    with database.read() as connection:
        assert connection.execute(select(SAMPLES.c.instance, SAMPLES.c.load_1m)).one() == ("box:8001", 1.5)
        assert len(set(connection.execute(select(REQUESTS.c.run)).scalars())) == 1
    check_sums(database)
    assert caplog.messages == ["the store is open"]
    database.close()


async def test_only_requests_to_a_model_are_kept(store_url: str) -> None:
    own = Writer(Database(store_url), "box:8001", model_of=lambda record: f"model of {record.request_id}")
    async with running(own):
        own.record(numbered(0, inference=False))
        own.record(numbered(1))
    database = reopened(store_url)
    with database.read() as connection:
        assert list(connection.execute(select(REQUESTS.c.model)).scalars()) == ["model of r-1"]
    database.close()


async def test_totals_of_this_sidecar_are_handed_on_once(database: Database, store_url: str) -> None:
    """Also when the loop is started again, after a failure of whatever kind."""
    write(database, [finished(model="m", stream=False)] * 2, writing=Writing(1, "mine"))
    write(database, [finished(model="m", stream=False)] * 3, writing=Writing(2, "other"))
    opened: list[Sequence[StoredTotals]] = []

    def restore(totals: Sequence[StoredTotals]) -> None:
        opened.append(totals)
        raise ZeroDivisionError

    own = Writer(Database(store_url), "mine", on_open=restore)
    with pytest.raises(ZeroDivisionError):
        await own.run()
    own.record(numbered(0, stream=False))
    async with running(own):
        await until(lambda: own.status().up)
    ((totals,),) = opened
    assert totals == StoredTotals(
        provider="llama_cpp",
        model="m",
        stream=False,
        requests=2,
        failed=0,
        input_tokens=100,
        output_tokens=22,
        cached_tokens=40,
        tool_calls=0,
        tool_uses=0,
        tool_results=0,
        duration_us=3_000_000,
        last_started_us=MIDNIGHT_US - 1_500_000,
    )
    assert count(database) == 6
    found = open_store(database, "mine", auto_migrate=True).totals
    assert {(each.model, each.requests) for each in found} == {("m", 2), ("tiny", 1)}


async def test_failures_that_nobody_expected_are_survived(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is tried again, without help of the supervisor."""
    monkeypatch.setattr("exporter.tasks.BACKOFF_FIRST_SECONDS", 0.001)
    database = Database(store_url)
    own, supervisor = Writer(database, "box:8001"), Supervisor()
    write_batch, failures = own._work, iter([MemoryError(), ZeroDivisionError()])

    def work(*arguments: Any, **options: Any) -> Any:
        for failure in failures:
            raise failure
        return write_batch(*arguments, **options)

    monkeypatch.setattr(own, "_work", work)
    own.record(numbered(0))
    supervisor.start("store_writer", own.run)
    await until(lambda: own.status().written == 1)
    assert supervisor.restarts == {"store_writer": 0}
    await supervisor.stop()
    await end(own)
    found = reopened(store_url)
    assert request_ids(found) == names(1)
    found.close()


async def test_a_batch_that_can_never_be_written_is_given_up(
    store_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the reason: what follows is written."""
    own = Writer(Database(store_url), "box:8001")
    worked, tries = own._work, 0

    def work(items: Sequence[Any], **options: Any) -> Any:
        nonlocal tries
        if any(item.record.request_id == "r-0" for item in items):
            tries += 1
            raise ZeroDivisionError
        return worked(items, **options)

    monkeypatch.setattr(own, "_work", work)
    async with running(own):
        own.record(numbered(0))
        await until(lambda: own.status().dropped["refused"] == 1)
        own.record(numbered(1))
        await until(lambda: own.status().written == 1)
        assert own.status().up
    assert tries == writer.MOST_FAILURES
    assert caplog.messages.count("a batch cannot be written") == 1
    found = reopened(store_url)
    assert request_ids(found) == ["r-1"]
    found.close()


async def test_what_cannot_be_written_at_all_does_not_stop_the_end(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Writer(Database(store_url), "box:8001")
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    await stop(task)

    def work(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(own, "_work", work)
    own.record(numbered(0))
    await end(own)
    assert own.status().dropped == NOTHING_DROPPED | {"shutdown": 1}


async def test_many_batches_in_order(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BATCH_RECORDS", 7)
    own = Writer(Database(store_url), "box:8001")
    async with running(own):
        for number in range(100):
            own.record(numbered(number))
            if number % 9 == 0:
                await asyncio.sleep(0)
        await until(lambda: own.status().queue_length < 7)
    found = reopened(store_url)
    assert request_ids(found) == names(100)
    check_sums(found)
    found.close()


async def test_more_than_can_wait_is_dropped_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is being written counts as waiting."""
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    own = Writer(database, "box:8001", queue_limit=10)
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    held = Held(database)
    own.record(numbered(0))
    own.sample(Sample(MIDNIGHT_US))
    await asyncio.to_thread(held.begun.wait, LIMIT_SECONDS)
    assert own.status().queue_length == 2
    caplog.clear()
    for number in range(1, 20):
        own.record(numbered(number))
    assert own.status().queue_length == 10
    assert own.status().dropped == NOTHING_DROPPED | {"queue_full": 11}
    assert caplog.messages == ["the store's queue is full; what finishes is dropped until it is back"]
    held.may_go_on.set()
    await until(lambda: own.status().queue_length == 0)
    own.record(numbered(20))
    await stop(task)
    await end(own)
    assert own.status().written == 11
    found = Database(f"sqlite:///{tmp_path / 'history.db'}")
    assert request_ids(found) == [*names(9), "r-20"]
    found.close()


async def test_a_record_that_is_refused_is_counted(store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    own = Writer(Database(store_url), "box:8001")
    async with running(own):
        for number in range(4):
            own.record(numbered(number, duration_seconds=1.0 if number % 2 else 1e30))
        await until(lambda: own.status().written == 2)
        own.record(numbered(9, duration_seconds=1e30))
        await until(lambda: own.status().dropped["refused"] == 3)
    found = reopened(store_url)
    assert request_ids(found) == ["r-1", "r-3"]
    check_sums(found)
    found.close()
    refusals = [record for record in caplog.records if "refused" in record.message]
    assert len(refusals) == 1
    assert refusals[0].__dict__["reason"] == "ValueError"


@asynccontextmanager
async def locked(file: Path) -> AsyncIterator[None]:
    """Somebody else writes to the file and does not end."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_down_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "history.db"
    own = Writer(Database(f"sqlite:///{file}"), "box:8001")
    task = asyncio.create_task(own.run())
    async with locked(file):
        for number in range(5):
            own.record(numbered(number))
        await until(lambda: len(caplog.messages) > 0)
        for _ in range(50):  # it tries again and again, and says nothing more
            await asyncio.sleep(0.001)
        assert (own.is_open, own.status().up, own.status().queue_length) == (False, False, 5)
    await until(lambda: own.status().written == 5)
    await stop(task)
    await end(own)
    assert caplog.messages == ["the store cannot be written; traffic goes on, records wait", "the store is open"]
    assert caplog.records[0].__dict__["reason"] == "database is locked"
    found = Database(f"sqlite:///{file}")
    assert request_ids(found) == names(5)
    found.close()


async def test_down_in_between(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "history.db"
    own = Writer(Database(f"sqlite:///{file}"), "box:8001", queue_limit=8)
    async with running(own):
        own.record(numbered(0))
        await until(lambda: own.status().written == 1)
        caplog.clear()
        async with locked(file):
            for number in range(1, 12):
                own.record(numbered(number))
            await until(lambda: not own.status().up)
            assert own.is_open  # what is there can be read
            own.record(numbered(12))
        await until(lambda: own.status().queue_length == 0)
        assert own.status().up
        own.record(numbered(13))
    messages = [record.message for record in caplog.records]
    assert messages == [
        "the store's queue is full; what finishes is dropped until it is back",
        "the store cannot be written; traffic goes on, records wait",
        "the store is back",
    ]
    assert caplog.records[2].__dict__["dropped"] == 4
    assert own.status().dropped == NOTHING_DROPPED | {"queue_full": 4}
    found = Database(f"sqlite:///{file}")
    assert request_ids(found) == [*names(9), "r-13"]
    check_sums(found)
    found.close()


async def test_a_server_that_is_stopped_and_started(postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture) -> None:
    url = postgresql.create()
    own = Writer(Database(url), "box:8001")
    async with running(own):
        own.record(numbered(0))
        await until(lambda: own.status().written == 1)
        postgresql.stop("immediate")
        try:
            for number in range(1, 30):
                own.record(numbered(number))
            await until(lambda: not own.status().up)
            own.record(numbered(30))
        finally:
            postgresql.start()
        await until(lambda: own.status().queue_length == 0)
    found = Database(url)
    assert request_ids(found) == names(31)
    check_sums(found)
    found.close()
    assert caplog.messages == [
        "the store is open",
        "the store cannot be written; traffic goes on, records wait",
        "the store is back",
    ]
    assert PASSWORD not in "".join(str(record.__dict__) for record in caplog.records)


async def test_a_server_that_is_not_there_at_the_start(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgresql.create()
    postgresql.stop()
    own = Writer(Database(url), "box:8001")
    try:
        task = asyncio.create_task(own.run())
        own.record(numbered(0))
        await until(lambda: len(caplog.messages) == 1)
    finally:
        postgresql.start()
    await until(lambda: own.status().written == 1)
    await stop(task)
    await end(own)
    assert caplog.messages == ["the store cannot be written; traffic goes on, records wait", "the store is open"]
    assert PASSWORD not in "".join(str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_end_at_any_commit(
    severed: tuple[Database, Callable[[str], None]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever had been done when they ended: everything is there once, in order."""
    monkeypatch.setattr(writer, "BATCH_RECORDS", 5)
    choice = random.Random(seed)
    database, cut = severed
    own = Writer(database, "box:8001")
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    sent = 0
    for _ in range(15):
        if how := choice.choice(["before", "after", ""]):
            cut(how)
        for _ in range(choice.choice([1, 4, 11])):
            own.record(numbered(sent))
            sent += 1
        own.sample(Sample(MIDNIGHT_US + sent))
        if choice.random() < 0.7:
            await until(lambda: own.status().queue_length == 0)
    await stop(task)
    await end(own)
    assert own.status().dropped == NOTHING_DROPPED
    assert own.status().written == sent + 15
    assert request_ids(database) == names(sent)
    assert count(database, "samples") == 15
    check_sums(database)


@pytest.mark.parametrize("fate", ["", "before", "after"])
async def test_a_stop_in_the_middle_of_a_batch(severed: tuple[Database, Callable[[str], None]], fate: str) -> None:
    """Nothing is lost and nothing is there twice, whatever becomes of that batch."""
    database, cut = severed
    own = Writer(database, "box:8001")
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    if fate:
        cut(fate)
    held = Held(database)
    for number in range(5):
        own.record(numbered(number))
    await asyncio.to_thread(held.begun.wait, LIMIT_SECONDS)
    await stop(task)
    for number in range(5, 8):
        own.record(numbered(number))
    assert own.status().queue_length == 8
    ending = asyncio.create_task(end(own))
    await asyncio.sleep(0)
    held.may_go_on.set()
    await ending
    assert (own.status().queue_length, own.status().written, own.status().dropped) == (0, 8, NOTHING_DROPPED)
    assert request_ids(database) == names(8)
    check_sums(database)


async def test_a_stop_when_the_store_is_just_being_opened(store_url: str) -> None:
    """What has finished by then is written all the same."""
    own = Writer(Database(store_url), "box:8001")
    task = asyncio.create_task(own.run())
    own.record(numbered(0))
    await asyncio.sleep(0)
    assert not own.is_open
    await stop(task)
    await end(own)
    assert own.status().dropped == NOTHING_DROPPED
    found = reopened(store_url)
    assert request_ids(found) == names(1)
    found.close()


async def test_the_end_with_a_database_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends in time; what is lost is counted, and said."""
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.3)
    file = tmp_path / "history.db"
    own = Writer(Database(f"sqlite:///{file}"), "box:8001")
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    async with locked(file):
        for number in range(5):
            own.record(numbered(number))
        await until(lambda: own.status().queue_length == 5 and not own._queue)
        await stop(task)
        own.record(numbered(5))
        began = asyncio.get_running_loop().time()
        thread = own.worker._thread
        await own.close(0.05)
        assert asyncio.get_running_loop().time() - began < 0.5
        assert own.status().dropped == NOTHING_DROPPED | {"shutdown": 6}
        assert thread is not None
        await asyncio.to_thread(thread.join, LIMIT_SECONDS)
    last = caplog.records[-1]
    assert (last.message, last.__dict__["records"]) == (
        "the store could not be written at the end; records are lost",
        6,
    )


async def test_the_end_with_a_server_that_is_gone(postgresql: PostgreSQL) -> None:
    url = postgresql.create()
    own = Writer(Database(url), "box:8001")
    task = asyncio.create_task(own.run())
    await until(lambda: own.is_open)
    postgresql.stop()
    try:
        own.record(numbered(0))
        await until(lambda: not own.status().up)
        await stop(task)
        await end(own)
        assert own.status().dropped == NOTHING_DROPPED | {"shutdown": 1}
    finally:
        postgresql.start()
    found = Database(url)
    assert count(found) == 0
    found.close()


async def test_the_end_of_a_store_that_was_never_open(tmp_path: Path) -> None:
    (tmp_path / "history.db").write_text("this is a letter to my aunt")
    own = Writer(Database(f"sqlite:///{tmp_path / 'history.db'}"), "box:8001")
    task = asyncio.create_task(own.run())
    own.record(numbered(0))
    await until(lambda: own._trouble is not None)
    await stop(task)
    await end(own)
    assert own.status().dropped == NOTHING_DROPPED | {"shutdown": 1}


async def test_the_sink_is_quick_whatever_the_database_does(tmp_path: Path) -> None:
    """It neither waits nor fails, before the start, during a batch, and after the end."""
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    own = Writer(database, "box:8001", queue_limit=100)
    for number in range(300):
        own.record(numbered(number))
    assert own.status().queue_length == 100
    task = asyncio.create_task(own.run())
    held = Held(database, "requests")
    await asyncio.to_thread(held.begun.wait, LIMIT_SECONDS)
    own.record(numbered(301))
    held.may_go_on.set()
    await until(lambda: own.status().queue_length == 0)
    await stop(task)
    await end(own)
    own.record(numbered(302))
    own.sample(Sample(MIDNIGHT_US))


async def test_two_sidecars_on_one_database(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they say that they are the same one."""
    monkeypatch.setattr(writer, "BATCH_RECORDS", 3)
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 5)
    instances = ("a", "b", "b")
    writers = [Writer(Database(store_url), instance) for instance in instances]
    tasks = [asyncio.create_task(own.run()) for own in writers]
    for number in range(60):
        writers[number % 3].record(numbered(number))
        await asyncio.sleep(0.001)
    for task in tasks:
        await stop(task)
    for own in writers:
        await end(own)
        assert own.status().dropped == NOTHING_DROPPED
    found = reopened(store_url)
    assert sorted(request_ids(found)) == sorted(names(60))
    check_sums(found)
    found.close()


async def test_a_store_as_a_whole(store_url: str) -> None:
    """Its reader answers as soon as its writer has opened it, and its status knows its size."""
    opened: list[Sequence[StoredTotals]] = []
    settings = StoreSettings(queue_records=123, keep="forever")
    store = Store(store_url, settings, "box:8001", model_of=lambda _: "m", on_open=opened.append)
    with pytest.raises(StoreError, match="not open yet"):
        await store.models.put({"early": {}})
    supervisor = Supervisor()
    for name, work in store.work.items():
        supervisor.start(name, work)
    assert set(supervisor.restarts) == {"store_writer", "store_retention"}
    store.writer.record(numbered(0))
    await until(lambda: store.writer.status().written == 1)
    assert store.writer.status().queue_limit == 123
    await store.reader.check()
    figures = await store.reader.figures(Period(), MIDNIGHT_US)
    assert (figures.models, figures.recent) == ((("m", 1),), 1)
    await store.models.put({"tiny": {"path": "/tiny.gguf"}})
    await store.settings.put({"runtime": {"notifications": False}})
    assert await store.models.all() == {"tiny": {"path": "/tiny.gguf"}}
    assert await store.settings.all() == {"runtime": {"notifications": False}}
    await supervisor.stop()
    await store.retention.tidy()
    size = store.writer.status().size_bytes
    assert size is not None
    assert size > 10_000
    await end(store.writer)
    assert opened == [()]


def test_a_wire_lets_everything_pass_that_is_not_to_be_cut(behind_wire: Database, wire: Wire) -> None:
    write(behind_wire, [finished()])
    assert count(behind_wire) == 1
    assert not wire.was_cut.is_set()
    assert migration.version(behind_wire) == migration.NEWEST
