"""Documents by name: models that were registered, and what was set at run time. Each belongs to one sidecar, for many
can share a database.

`store` makes one for each of the two tables; it is the `Shelf` of the room `models`. Writes wait for their turn in the
thread of the writer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from exporter.errors import StoreError
from exporter.store.database import Database
from exporter.store.reader import NOT_OPEN, Reader
from exporter.worker import Worker, outcome

Document = dict[str, Any]
Change = Callable[[Connection], object]

LIMIT_SECONDS = 10.0
"""Before whoever waits is told that the store does not answer."""
DOCUMENT_BYTES = 1_000_000
"""Of a document, as JSON in ASCII."""
NAME_BYTES = 1000
"""Of a name, in UTF-8: the index of PostgreSQL holds 2,700 bytes."""
MICROSECONDS = 1_000_000


class Documents:
    """Of one sidecar, in one table. Every call raises StoreError, within `LIMIT_SECONDS`, when the store cannot be
    read or written now, or will not have it."""

    def __init__(
        self,
        database: Database,
        table: Table,
        *,
        instance: str,
        reader: Reader,
        worker: Worker,
        is_open: Callable[[], bool] = lambda: True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`worker` is the writer's; `is_open` says whether there are tables."""
        self._database = database
        self._table = table
        self._instance = instance
        self._reader = reader
        self._worker = worker
        self._is_open = is_open
        self._wall = wall

    async def all(self) -> dict[str, Document]:
        """Everything, by name, in the order in which it was first put there."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._reader.ask(self._read)
        except TimeoutError:
            raise StoreError("the store does not answer") from None

    async def put(self, documents: Mapping[str, Document]) -> None:
        """Keep these, instead of those of the same name: all of them or, raising, none."""
        written = {_checked(name): _written(name, document) for name, document in documents.items()}
        now_us = round(self._wall() * MICROSECONDS)
        await self._do(lambda connection: self._put(connection, written, now_us))

    async def delete(self, name: str) -> None:
        """Keep it no longer; harmless where there is none."""
        await self._do(lambda connection: connection.execute(delete(self._table).where(*self._of(_checked(name)))))

    async def _do(self, change: Change) -> None:
        """Make a change as a whole or, raising, not at all: who gives up waiting takes it back, unless it is being
        committed just then."""
        if not self._is_open():
            raise StoreError(NOT_OPEN)
        commit: Future[None] = Future()
        job = self._worker.submit(lambda: self._work(change, commit))
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await outcome(job)
        except TimeoutError:
            is_off = job.cancel() or commit.cancel()
            changed = "nothing was changed" if is_off else "it is not known whether anything was changed"
            raise StoreError(f"the store does not answer; {changed}") from None
        finally:
            job.cancel()
            commit.cancel()

    def _of(self, name: str) -> tuple[Any, ...]:
        return self._table.c.instance == self._instance, self._table.c.name == name

    # In a thread

    def _read(self, connection: Connection) -> dict[str, Document]:
        columns = self._table.c.name, self._table.c.document, self._table.c.created_us
        rows = connection.execute(select(*columns).where(self._table.c.instance == self._instance)).all()
        return {name: document for name, document, _ in sorted(rows, key=lambda row: (row[2], row[0]))}

    def _work(self, change: Change, commit: Future[None]) -> None:
        """Once more when nobody heard the end of it: what was done after all is done again, to no effect."""
        try:
            self._make(change, commit)
        except StoreError:
            if not commit.running():
                raise
            self._make(change, commit)

    def _make(self, change: Change, commit: Future[None]) -> None:
        with self._database.write() as connection:
            change(connection)
            if not (commit.running() or commit.set_running_or_notify_cancel()):
                raise StoreError("nobody waits for it any more")

    def _put(self, connection: Connection, written: Mapping[str, str], now_us: int) -> None:
        made = sqlite.insert(self._table) if self._database.is_sqlite else postgresql.insert(self._table)
        new = {"document": made.excluded.document, "updated_us": made.excluded.updated_us}
        statement = made.on_conflict_do_update(index_elements=self._table.primary_key, set_=new)
        created = {name: now_us + place for place, name in enumerate(written)}
        for name in sorted(written):  # in one order, so that two who write the same do not wait for each other
            document, created_us = json.loads(written[name]), created[name]
            row = {"name": name, "document": document, "created_us": created_us, "updated_us": now_us}
            connection.execute(statement, {"instance": self._instance, **row})


def _checked(name: str) -> str:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise StoreError("a name with half a character cannot be kept") from None
    if not 0 < size <= NAME_BYTES or "\0" in name:
        raise StoreError(f"a name must have 1 to {NAME_BYTES:,} bytes, none of them 0")
    return name


def _written(name: str, document: Document) -> str:
    """As it is now, for whoever gave it may change it. In ASCII, so that every text is one for PostgreSQL."""
    try:
        text = json.dumps(document, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{name!r} cannot be kept: {str(error).lower()}") from None
    if len(text) > DOCUMENT_BYTES:
        raise StoreError(f"{name!r} is too large to be kept: {len(text):,} bytes, of {DOCUMENT_BYTES:,} at most")
    return text
