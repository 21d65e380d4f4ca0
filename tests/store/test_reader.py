"""Questions about the past: many at once, by people who may leave; each gets its answer, or hears why not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from exporter.errors import StoreError
from exporter.store import reader as reader_module
from exporter.store.database import READERS, Database
from exporter.store.figures import Past, Period, StoredRequest
from exporter.store.reader import WAITING_LIMIT, Reader
from tests.databases import PASSWORD, PostgreSQL
from tests.store.requests import MIDNIGHT_US, Told, brute_force, finished, in_order, write

LIMIT_SECONDS = 30.0


@pytest.fixture
def behind(postgresql: PostgreSQL) -> Iterator[Database]:
    """A database on the server."""
    database = Database(postgresql.create(postgresql.migrated))
    yield database
    database.close()


class Gate:
    """A shape that waits in its thread."""

    def __init__(self, error: Exception | None = None) -> None:
        self.inside = 0
        self.may_go_on = threading.Event()
        self._error = error
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[StoredRequest]) -> int:
        with self._lock:
            self.inside += 1
        assert self.may_go_on.wait(LIMIT_SECONDS)
        if self._error is not None:
            raise self._error
        return len(rows)

    async def wait_for(self, number: int) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while self.inside < number:
                await asyncio.sleep(0.001)


async def ask(reader: Past, shape: Any = len) -> int:
    answer, _ = await reader.page(Period(), None, 10, shape)
    return int(answer)


async def test_figures_are_those_of_the_database(database: Database) -> None:
    everything = [Told("box:8001", finished(MIDNIGHT_US + number)) for number in range(3)]
    write(database, [each.finished for each in everything])
    found = await Reader(database).figures(Period(MIDNIGHT_US + 1), MIDNIGHT_US + 5)
    assert in_order(found) == in_order(brute_force(everything, Period(MIDNIGHT_US + 1), MIDNIGHT_US + 5))


async def test_a_store_that_is_not_open() -> None:
    database = Database("sqlite:////nowhere/history.db")
    reader = Reader(database, is_open=lambda: False)
    for question in (reader.check(), reader.figures(Period(), 0), ask(reader)):
        with pytest.raises(StoreError, match="not open yet"):
            await question


async def test_many_questions_at_once(database: Database) -> None:
    """As many as there are threads are answered; the others wait for their turn; what is too much hears so at once."""
    write(database, [finished()])
    reader, gate = Reader(database), Gate()
    tasks = [asyncio.create_task(ask(reader, gate)) for _ in range(READERS + WAITING_LIMIT)]
    await gate.wait_for(READERS)
    with pytest.raises(StoreError, match="too many questions at once"):
        await ask(reader)
    assert gate.inside == READERS
    gate.may_go_on.set()
    assert await asyncio.gather(*tasks) == [1] * len(tasks)
    assert await ask(reader) == 1


async def test_who_leaves_gives_the_thread_back(database: Database) -> None:
    reader, gate = Reader(database), Gate()
    leaving = [asyncio.create_task(ask(reader, gate)) for _ in range(READERS)]
    await gate.wait_for(READERS)
    waiting = [asyncio.create_task(ask(reader)) for _ in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    for task in (*leaving, *waiting[1:]):
        task.cancel()
    assert all(isinstance(each, asyncio.CancelledError) for each in await _outcomes([*leaving, *waiting[1:]]))
    assert not waiting[0].done()  # threads are not free before they are done
    gate.may_go_on.set()
    assert await waiting[0] == 0
    await all_idle(reader)
    again = [asyncio.create_task(ask(reader, gate)) for _ in range(READERS + WAITING_LIMIT)]
    assert await asyncio.gather(*again) == [0] * len(again)


async def all_idle(reader: Reader) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while reader._idle.qsize() < READERS:
            await asyncio.sleep(0.001)


async def _outcomes(tasks: Sequence[asyncio.Task[int]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("no_complaints")
async def test_failures_that_nobody_waits_for_are_nobodys_business(database: Database) -> None:
    reader, gate = Reader(database), Gate(ZeroDivisionError())
    tasks = [asyncio.create_task(ask(reader, gate)) for _ in range(READERS)]
    await gate.wait_for(READERS)
    for task in tasks:
        task.cancel()
    await _outcomes(tasks)
    gate.may_go_on.set()
    assert await ask(reader) == 0
    await all_idle(reader)


async def test_a_server_that_is_away_and_comes_back(postgresql: PostgreSQL, behind: Database) -> None:
    reader = Reader(behind)
    await reader.check()
    postgresql.stop("immediate")
    try:
        for _ in range(2 * READERS):
            with pytest.raises(StoreError) as caught:
                await reader.check()
            assert "\n" not in str(caught.value)
            assert PASSWORD not in str(caught.value)
    finally:
        postgresql.start()
    await reader.check()
    assert await ask(reader) == 0


async def test_a_question_that_is_broken_off_by_the_server(postgresql: PostgreSQL, behind: Database) -> None:
    reader = Reader(behind)

    def question(connection: Any) -> None:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        postgresql.execute(f"SELECT pg_terminate_backend({pid}, 10000)")
        connection.exec_driver_sql("SELECT 1")

    with pytest.raises(StoreError, match="terminating connection"):
        await reader.ask(question)
    await reader.check()


async def test_the_limit_is_of_those_who_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "WAITING_LIMIT", 1)
    reader, gate = Reader(database), Gate()
    tasks = [asyncio.create_task(ask(reader, gate)) for _ in range(READERS + 1)]
    await gate.wait_for(READERS)
    for _ in range(3):
        with pytest.raises(StoreError, match="too many"):
            await ask(reader)
    tasks[-1].cancel()  # who waits leaves: there is room again
    await _outcomes(tasks[-1:])
    last = asyncio.create_task(ask(reader))
    await asyncio.sleep(0)
    gate.may_go_on.set()
    assert await asyncio.gather(*tasks[:-1], last) == [0] * (READERS + 1)
