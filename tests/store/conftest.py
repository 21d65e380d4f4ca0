"""Databases whose connections end at the wrong moment, and what the event loop has to complain of."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from exporter.store import migration
from exporter.store.database import Database
from tests.databases import PostgreSQL
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
