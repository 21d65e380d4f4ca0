"""A SQLite file that is removed, or replaced, while it is open: nobody writes into what has no name any more, and
everybody hears of it. What is put back is gone on with.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from exporter.errors import StoreError
from exporter.record import RequestRecord
from exporter.settings.store import StoreSettings
from exporter.store import database as database_module
from exporter.store import writer
from exporter.store.database import FILE_GONE, OTHER_FILE, READERS, Database
from exporter.store.store import Store
from tests.store.requests import MIDNIGHT_US, SECOND_US, check_sums, count, finished, request_ids, write

pytestmark = pytest.mark.usefixtures("no_complaints")
LIMIT_SECONDS = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="exporter")
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.002)
    monkeypatch.setattr(writer, "FIRST_DELAY_SECONDS", 0.002)
    monkeypatch.setattr(writer, "LONGEST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.02)


@pytest.fixture
def file(tmp_path: Path, migrated_file: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    return Path(shutil.copy(migrated_file, folder / "history.db"))


def ids(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [name for (name,) in connection.execute("SELECT request_id FROM requests ORDER BY id")]


def numbered(number: int) -> RequestRecord:
    return finished(MIDNIGHT_US + number * SECOND_US, request_id=f"r-{number}").record


def refused(database: Database, reason: str) -> None:
    """Nothing is read or written."""
    with pytest.raises(StoreError) as caught:
        count(database)
    assert reason in str(caught.value)
    with pytest.raises(StoreError) as caught, database.write():
        raise AssertionError
    assert reason in str(caught.value)


@pytest.mark.parametrize("away", ["file", "folder"])
def test_a_file_that_is_gone_and_comes_back(file: Path, away: str) -> None:
    database = Database(f"sqlite:///{file}")
    write(database, [finished(request_id="r-0")])
    moved = file if away == "file" else file.parent
    elsewhere = file.parent.parent / "elsewhere"
    moved.rename(elsewhere)
    refused(database, f"{FILE_GONE} (no such file or directory)")
    assert not moved.exists()
    elsewhere.rename(moved)
    write(database, [finished(request_id="r-1")])
    assert request_ids(database) == ["r-0", "r-1"]
    database.close()
    assert ids(file) == ["r-0", "r-1"]


def test_no_connection_makes_another_file(file: Path) -> None:
    """There are fewer than may be: one more would, and the next one would take that for the store."""
    database = Database(f"sqlite:///{file}")
    with database.read():
        assert database.connections == 1
        file.unlink()
        for _ in range(READERS):
            refused(database, FILE_GONE)
        assert database.connections == 1
    assert not file.exists()
    database.close()


def test_another_file_is_left_as_it_is(file: Path, tmp_path: Path) -> None:
    """Neither written, nor read with the log of the old one, which would spoil it."""
    other = Database(f"sqlite:///{shutil.copy(file, tmp_path / 'other.db')}")
    write(other, [finished(request_id="other")])
    other.close()
    database = Database(f"sqlite:///{file}")
    write(database, [finished(MIDNIGHT_US + number) for number in range(100)])
    (tmp_path / "other.db").replace(file)
    before = file.read_bytes()
    refused(database, OTHER_FILE)
    database.close()
    assert file.read_bytes() == before
    for end in ("-wal", "-shm"):  # as the sentence says
        file.with_name(file.name + end).unlink()
    assert ids(file) == ["other"]


def test_whoever_closes_it_may_open_what_is_there_then(file: Path, tmp_path: Path, migrated_file: Path) -> None:
    database = Database(f"sqlite:///{file}")
    write(database, [finished()])
    database.close()
    shutil.copy(migrated_file, tmp_path / "empty.db")
    (tmp_path / "empty.db").replace(file)
    assert count(database) == 0
    database.close()


def test_a_link_that_leads_elsewhere(file: Path, tmp_path: Path, migrated_file: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(file)
    database = Database(f"sqlite:///{link}")
    write(database, [finished()])
    link.unlink()
    link.symlink_to(shutil.copy(migrated_file, tmp_path / "second.db"))
    refused(database, OTHER_FILE)
    database.close()


def make(file: Path) -> Store:
    url = f"sqlite:///{file}"
    return Store(url, StoreSettings(), "box:8001", model_of=lambda _: "m", on_open=lambda _: None)


@asynccontextmanager
async def working(store: Store) -> AsyncIterator[Store]:
    """It writes, and is closed at the end."""
    task = asyncio.create_task(store.writer.run())
    try:
        yield store
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        thread = store.writer.worker._thread
        await store.writer.close(LIMIT_SECONDS)
        if thread is not None:
            await asyncio.to_thread(thread.join, LIMIT_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(entry.message, entry.__dict__.get("reason", "")) for entry in caplog.records]


async def test_a_store_whose_file_is_gone_waits_for_it(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and nothing is lost when the file is put back."""
    elsewhere = file.with_name("elsewhere.db")
    async with working(make(file)) as store:
        await until(lambda: store.writer.is_open)
        store.writer.record(numbered(0))
        await until(lambda: store.writer.status().written == 1)
        assert await store.reader.check() is None
        file.rename(elsewhere)
        with pytest.raises(StoreError, match=FILE_GONE):
            await store.reader.check()
        with pytest.raises(StoreError, match=FILE_GONE):
            await store.models.put({"tiny": {}})
        for number in range(1, 20):
            store.writer.record(numbered(number))
            await until(lambda: store.writer.status().queue_length == 0 or not store.writer.status().up)
        assert (store.writer.status().written, store.writer.status().queue_length) == (1, 19)
        elsewhere.rename(file)
        await until(lambda: store.writer.status().up)
        assert await store.reader.check() is None
        await store.models.put({"tiny": {}})
    assert told(caplog) == [
        ("the store is open", ""),
        ("the store cannot be written; traffic goes on, records wait", f"{FILE_GONE} (no such file or directory)"),
        ("the store is back", ""),
    ]
    database = Database(f"sqlite:///{file}")
    assert request_ids(database) == [f"r-{number}" for number in range(20)]
    check_sums(database)
    database.close()


async def test_what_could_not_be_written_is_counted_at_the_end(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with working(make(file)) as store:
        await until(lambda: store.writer.is_open)
        file.unlink()
        store.writer.record(numbered(0))
        await until(lambda: not store.writer.status().up)
    assert store.writer.status().dropped["shutdown"] == 1
    assert told(caplog)[-1][0] == "the store could not be written at the end; records are lost"
    assert not file.exists()


async def test_a_store_that_can_only_be_read(file: Path) -> None:
    """A question does not see that: the last batch does."""
    async with working(make(file)) as store:
        await until(lambda: store.writer.is_open)
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await store.reader.check() is None
            store.writer.record(numbered(0))
            await until(lambda: not store.writer.status().up)
            assert await store.reader.check() == "database is locked"
            other.execute("ROLLBACK")
        await until(lambda: store.writer.status().written == 1)
        assert await store.reader.check() is None


async def test_a_file_that_cannot_be_used_is_replaced(file: Path, tmp_path: Path, migrated_file: Path) -> None:
    """Nothing was opened yet that could be lost: what lies there next is taken, without a restart."""
    newer = Database(f"sqlite:///{file}")
    with newer.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    newer.close()
    async with working(make(file)) as store:
        await until(lambda: store.writer.trouble is not None)
        assert "newer version" in str(store.writer.trouble)
        shutil.copy(migrated_file, tmp_path / "usable.db")
        (tmp_path / "usable.db").replace(file)
        await until(lambda: store.writer.is_open)
        assert await store.reader.check() is None
