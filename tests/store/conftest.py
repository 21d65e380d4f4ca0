"""Databases whose connections end at the wrong moment, documents, and what the event loop has to complain of."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Table

from exporter.store import migration
from exporter.store.database import Database
from exporter.store.documents import Documents
from exporter.store.reader import Reader
from exporter.store.schema import MODELS
from exporter.worker import Worker
from tests.databases import PostgreSQL
from tests.store.requests import Clock
from tests.store.severed import Wire, cut_sqlite


@pytest_asyncio.fixture
async def no_complaints() -> AsyncIterator[None]:
    """Fails when a failure of whatever ran in the event loop was for nobody."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    yield
    await asyncio.sleep(0)
    gc.collect(1)  # what is young; all of it would take longer than most tests
    assert complaints == []


@pytest.fixture
def wire(postgresql: PostgreSQL) -> Iterator[Wire]:
    with Wire(postgresql.port) as wire:
        yield wire


@pytest.fixture
def behind_wire(postgresql: PostgreSQL, wire: Wire) -> Iterator[Database]:
    url = postgresql.create(postgresql.migrated)
    database = Database(url.replace(f":{postgresql.port}/", f":{wire.port}/"))
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def severed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Database, Callable[[str], None]]]:
    """A database, and what makes its next commit fail `before` or `after` it is done."""
    if request.param == "postgresql":
        yield request.getfixturevalue("behind_wire"), request.getfixturevalue("wire").cut
        return
    database = Database(f"sqlite:///{tmp_path / 'history.db'}")
    migration.migrate(database)
    yield database, cut_sqlite(database)
    database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def make(clock: Clock) -> AsyncIterator[Callable[..., Documents]]:
    """Documents of a database, all with one worker."""
    worker = Worker("test")

    def make(database: Database, table: Table = MODELS, instance: str = "box:8001", **changes: Any) -> Documents:
        reader = Reader(database, **changes)
        return Documents(database, table, instance=instance, reader=reader, worker=worker, wall=clock, **changes)

    yield make
    await asyncio.wrap_future(worker.submit(lambda: None))
    worker.close()
