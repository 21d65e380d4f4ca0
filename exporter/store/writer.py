"""The one writer: finished requests and samples wait in a bounded queue, and go to the database in batches, from a
thread of its own. Traffic never waits for it.

`app` puts `Writer.record` among the sinks, runs `Writer.run` in the background, and calls `close` at the end. While the
database is away, what finishes waits; what finds the queue full is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from exporter.errors import StoreError
from exporter.record import RequestRecord
from exporter.store import batch
from exporter.store.batch import Writing, Written
from exporter.store.database import Database
from exporter.store.figures import DROP_REASONS, QUEUE_FULL, REFUSED, SHUTDOWN, StoredTotals, StoreStatus
from exporter.store.opening import Opened, open_store
from exporter.store.rows import Finished
from exporter.store.sample import Sample
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
"""Between two batches: what is lost with a killed process is younger than this and the time that a batch takes."""
BATCH_RECORDS = 2000
CLOSING_SECONDS = 1.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 5.0
MOST_FAILURES = 5
"""Of one batch, that nobody expected, before it is given up."""


class _Timed(NamedTuple):
    written: Written
    seconds: float


class Writer:
    """Writes to one database. Its state belongs to the event loop; only `_work` and what it calls run in the thread."""

    def __init__(
        self,
        database: Database,
        instance: str,
        *,
        model_of: Callable[[RequestRecord], str | None] = lambda record: record.requested_model,
        queue_limit: int = 20_000,
        auto_migrate: bool = True,
        on_open: Callable[[Sequence[StoredTotals]], None] = lambda _: None,
        size_bytes: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`model_of` names the model of a request; `on_open` is given, once, what had been summed up before."""
        self._database = database
        self._writing = Writing(random.getrandbits(62), instance)
        self._model_of = model_of
        self._queue_limit = queue_limit
        self._auto_migrate = auto_migrate
        self._on_open = on_open
        self._size_bytes = size_bytes
        self._worker = Worker("store-writer")
        self._queue: deque[Finished | Sample] = deque()
        self._batch: list[Finished | Sample] = []
        """What is being written, or is to be written again."""
        self._again = False
        """Whether the batch may have been written after all by a try that failed."""
        self._running: Future[_Timed] | None = None
        self._after = 0
        self._opened = False
        self._trouble: str | None = None
        """Why nothing can be written now."""
        self._written = 0
        self._dropped = dict.fromkeys(DROP_REASONS, 0)
        self._told_dropped = 0
        self._told_full = False
        """Whether the log says that the queue is full; it is again only after half of it was written."""
        self._write_seconds = 0.0
        self._failures = 0
        """Of the batch at hand, that nobody expected."""

    # The sink

    def record(self, record: RequestRecord) -> None:
        """Take a finished request that asked a model for something."""
        if record.inference:
            self._put(Finished(record, self._model_of(record)))

    def sample(self, sample: Sample) -> None:
        """Take a sample."""
        self._put(sample)

    def _put(self, item: Finished | Sample) -> None:
        if len(self._queue) + len(self._batch) >= self._queue_limit:
            self._dropped[QUEUE_FULL] += 1
            if not self._told_full:
                self._told_full = True
                log.warning("the store's queue is full; what finishes is dropped until it is back")
        else:
            self._queue.append(item)

    # What others may know

    @property
    def is_open(self) -> bool:
        """Whether there are tables that can be read."""
        return self._opened

    @property
    def worker(self) -> Worker:
        """The thread that writes: what else changes the database does so in it, in small portions."""
        return self._worker

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written now; None where that is possible, as far as it has been tried."""
        return self._trouble

    def status(self) -> StoreStatus:
        """How it fares."""
        return StoreStatus(
            up=self._opened and self._trouble is None,
            queue_length=len(self._queue) + len(self._batch),
            queue_limit=self._queue_limit,
            written=self._written,
            dropped=dict(self._dropped),
            write_seconds=self._write_seconds,
            size_bytes=self._size_bytes(),
        )

    # The loop

    async def run(self) -> None:
        """Open the store as soon as it can be opened, then write for ever."""
        delay = FIRST_DELAY_SECONDS
        while not self._opened:
            try:
                self._note_open(await asyncio.wrap_future(self._worker.submit(self._open)))
            except StoreError as error:
                self._note_trouble(str(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            await self._write_all()

    async def close(self, limit_seconds: float = 5.0) -> None:
        """Write what waits, for so long at most; what is left then is dropped, and counted. `run` must have ended."""
        try:
            async with asyncio.timeout(limit_seconds):
                await self._finish()
        except TimeoutError:
            pass
        except Exception:  # whatever it is, the end goes on, and tells of what is left
            log.exception("the last batch cannot be written")
        left = len(self._queue) + len(self._batch)
        if left:
            self._dropped[SHUTDOWN] += left
            log.warning("the store could not be written at the end; records are lost", extra={"records": left})
        closing = outcome(self._worker.submit(self._database.close))
        self._worker.close()
        # The last connection of SQLite puts the log into the file.
        await asyncio.wait([closing], timeout=CLOSING_SECONDS)

    async def _finish(self) -> None:
        """The last batch may still be on its way, and a store that is to be closed so soon not yet open."""
        if not self._opened and self._trouble is None and self._queue:
            with contextlib.suppress(StoreError):
                self._note_open(await asyncio.wrap_future(self._worker.submit(self._open)))
        if self._running is not None:
            with contextlib.suppress(StoreError):
                self._note_written(await asyncio.wrap_future(self._running))
        tries = 2  # it may have been the connection alone that has ended
        while self._opened and tries and (self._batch or self._queue):
            if not await self._write_once():
                tries -= 1

    async def _write_all(self) -> None:
        """Until little is left; again and again, with pauses, while the database is away."""
        delay = FIRST_DELAY_SECONDS
        while self._batch or self._queue:
            if not await self._write_once():
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            elif len(self._queue) < BATCH_RECORDS:
                return

    async def _write_once(self) -> bool:
        """Write the batch at hand, or the next one; whether that worked."""
        if not self._batch:
            self._batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_RECORDS))]
        items, again = self._batch, self._again
        self._again = True
        self._running = self._worker.submit(lambda: self._work(items, again=again))
        try:
            # A stop does not stop it: `close` must know what became of it.
            self._note_written(await outcome(self._running))
        except StoreError as error:
            self._running = None
            self._note_trouble(str(error))
            return False
        except Exception as error:
            self._running = None
            return self._note_failure(error)
        return True

    def _note_open(self, opened: Opened) -> None:
        self._after = opened.newest_row
        self._opened = True
        self._on_open(opened.totals)
        log.info("the store is open", extra={"store": str(self._database), "instance": self._writing.instance})
        self._trouble = None

    def _note_trouble(self, reason: str) -> None:
        if self._trouble is None:
            log.warning(
                "the store cannot be written; traffic goes on, records wait",
                extra={"store": str(self._database), "reason": reason, "queue_limit": self._queue_limit},
            )
        self._trouble = reason

    def _note_failure(self, error: Exception) -> bool:
        """Nobody knows why: try again, but not for ever, for what follows would wait; whether that is over."""
        self._failures += 1
        if self._failures == 1:
            log.error("a batch cannot be written", exc_info=error)
        self._note_trouble(type(error).__name__)
        if self._failures < MOST_FAILURES:
            return False
        log.error("a batch is given up", extra={"records": len(self._batch)})
        self._dropped[REFUSED] += len(self._batch)
        self._batch, self._again, self._failures = [], False, 0
        return True

    def _note_written(self, done: _Timed) -> None:
        self._running = None
        if self._trouble is not None:
            lost = self._dropped[QUEUE_FULL] - self._told_dropped
            log.info("the store is back", extra={"waiting": len(self._queue) + len(self._batch), "dropped": lost})
            self._trouble = None
        self._told_dropped = self._dropped[QUEUE_FULL]
        refused = done.written.refused
        if refused and not self._dropped[REFUSED]:
            log.warning("the database refused a record; later ones are only counted", extra={"reason": refused[0]})
        self._dropped[REFUSED] += len(refused)
        self._written += len(self._batch) - len(refused)
        self._write_seconds += done.seconds
        self._after = done.written.after
        self._batch, self._again, self._failures = [], False, 0
        if len(self._queue) < self._queue_limit / 2:
            self._told_full = False

    # In the thread

    def _open(self) -> Opened:
        return open_store(self._database, self._writing.instance, auto_migrate=self._auto_migrate)

    def _work(self, items: Sequence[Finished | Sample], *, again: bool) -> _Timed:
        began = time.monotonic()
        finished = [item for item in items if isinstance(item, Finished)]
        samples = [item for item in items if isinstance(item, Sample)]
        written = batch.write(self._database, self._writing, self._after, finished, samples, again=again)
        return _Timed(written, time.monotonic() - began)
