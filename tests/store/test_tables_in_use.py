"""Tables that are to be updated while somebody reads them for long: who reads or writes beside that hardly waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import select, text

from exporter.cli import main
from exporter.store import commands, migration, writer
from exporter.store.database import Database
from exporter.store.migration import TablesInUseError
from exporter.store.schema import MODELS
from exporter.store.writer import Writer
from tests.databases import PASSWORD, PostgreSQL
from tests.store.requests import count
from tests.store.revisions import fill, go_to
from tests.telemetry.examples import record

LIMIT_SECONDS = 30.0
IN_USE = (
    "the tables cannot be updated while another program is in a long transaction with them, as an export or a backup "
    "is; pg_stat_activity shows which"
)
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
Capture = pytest.CaptureFixture[str]
Commands = Callable[..., Future[int]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "LOCK_MILLISECONDS", 200)
    monkeypatch.setattr(migration, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(writer, "BATCH_SECONDS", 0.002)
    monkeypatch.setattr(writer, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(writer, "LONGEST_DELAY_SECONDS", 0.01)


@pytest.fixture
def old_url(postgresql: PostgreSQL) -> Iterator[str]:
    """Of a store with three requests, as the version before has left it."""
    url = postgresql.create()
    with closing(Database(url)) as database:
        go_to(database, "0002")
        fill(database)
    yield url
    postgresql.drop(url)


@pytest.fixture
def other(old_url: str) -> Iterator[Database]:
    """As another sidecar has it."""
    with closing(Database(old_url)) as database:
        yield database


@pytest.fixture
def command(old_url: str) -> Iterator[Commands]:
    """`llama-exporter store migrate` in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        yield lambda: thread.submit(main, ["store", "migrate", "--store", old_url])


@contextmanager
def reading(url: str) -> Iterator[None]:
    """A transaction that has read requests and goes on, as that of an export."""
    with closing(Database(url)) as database, database.read() as connection:
        connection.execute(text("SELECT count(*) FROM requests"))
        yield


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def waits(database: Database) -> int:
    """How many wait to have a table for themselves."""
    with database.read() as connection:
        return int(connection.execute(text(WAITS)).scalar_one())


def use(database: Database) -> None:
    """Read, and write as a version does that knows no newer tables. Raises StoreError after 10 s of waiting."""
    assert count(database) == 3
    with database.write() as connection:
        assert connection.execute(text("UPDATE requests SET tier = tier")).rowcount == 3


async def test_a_sidecar_tries_until_it_can_and_others_go_on(old_url: str, other: Database) -> None:
    """Its records wait meanwhile."""
    one = Writer(Database(old_url), "box:8002")
    running = asyncio.create_task(one.run())
    one.record(record())
    with reading(old_url):
        for _ in range(3):
            await until(lambda: waits(other))
            await asyncio.to_thread(use, other)
        await until(lambda: one.trouble == IN_USE)
        assert migration.version(other) == "0002"
        assert not one.is_open
    await until(lambda: one.status().written == 1)
    assert one.trouble is None
    assert (migration.version(other), count(other)) == (migration.NEWEST, 4)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await one.close()


async def test_the_command_says_what_it_waits_for(
    old_url: str, other: Database, command: Commands, capfd: Capture
) -> None:
    with reading(old_url):
        done = command()
        for _ in range(3):
            await until(lambda: waits(other))
            await asyncio.to_thread(use, other)
    assert await asyncio.to_thread(done.result, LIMIT_SECONDS) == 0
    said = capfd.readouterr()
    assert said.out == "updated the tables from revision 0002: they are of revision 0003 now\n"
    assert said.err == f"waiting: {IN_USE}\n"


def test_the_command_gives_up(old_url: str, other: Database, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PATIENCE_SECONDS", 0)
    with reading(old_url):
        assert main(["store", "migrate", "--store", old_url]) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == f"llama-exporter: {old_url.replace(PASSWORD, '***')}: {IN_USE}\n"
    assert migration.version(other) == "0002"


async def test_the_command_waits_for_another_update(other: Database, command: Commands, capfd: Capture) -> None:
    said = ""

    def has_said() -> str:
        nonlocal said
        said += capfd.readouterr().err
        return said

    with other.write() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": migration.LOCK})
        done = command()
        await until(has_said)
    assert await asyncio.to_thread(done.result, LIMIT_SECONDS) == 0
    assert said == "waiting: somebody else is updating the tables\n"


def test_a_pause_is_one_for_everybody(old_url: str, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tables can be used, also those that had been changed by then, and nobody else begins."""
    go_to(other, "0001")
    found: list[object] = []

    def look(seconds: float) -> None:
        with other.write() as connection:
            found.append(connection.execute(text("SELECT count(*) FROM models")).scalar())
            found.append(
                connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": migration.LOCK}).scalar()
            )

    monkeypatch.setattr("exporter.store.migration.time.sleep", look)
    with closing(Database(old_url)) as database:
        with reading(old_url), pytest.raises(TablesInUseError):
            migration.migrate(database)
        assert found == [0, False]
        assert migration.version(database) == "0001"
        assert migration.migrate(database) is True
        with database.read() as connection:
            assert connection.execute(select(MODELS)).all() == []
