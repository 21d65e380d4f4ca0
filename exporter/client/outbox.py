"""Records on their way to the sidecar: a bounded queue, the thread that empties it, and what became of them.

`collector` puts records in. Whatever happens here, the application neither waits for it nor sees it.
"""

from __future__ import annotations

import contextlib
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from enum import Enum
from queue import SimpleQueue
from typing import Final

from exporter.client.sidecar import NO_ANSWER, Answer, Sidecar

log = logging.getLogger("exporter.client")

CAPACITY = 10_000
"""Most records that wait, the one being sent included."""
BACKOFF_SECONDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Pauses between the attempts at one record; the last goes on. The first is none: the sidecar closes idle connections,
which is found out only by writing to one."""
SHORTEST_PAUSE_SECONDS = 0.1
"""Before asking again one that answers that it cannot; and all that is left of any pause while somebody flushes."""
ERROR_LIMIT = 10
"""After so many answers of 500 a record is dropped: the sidecar fails because of it, and others wait behind it."""
LONGEST_PAUSE_SECONDS = 60.0
"""However long a `Retry-After` is."""
EXIT_SECONDS = 2.0
"""How long the end of a process waits for what is not sent yet."""
SHOWN_BYTES = 200
"""How much of a refusal is logged."""

Record = tuple[str, bytes]
"""Path and body."""


class Fate(Enum):
    """What became of a record."""

    SENT = "sent"
    REFUSED = "refused"
    """The sidecar said that it cannot use it; it would say so again."""
    DROPPED = "dropped"


class Outbox:
    """Thread-safe, and its `put` even reentrant: a signal handler or a finalizer may record while we are at it."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar: Final = sidecar
        self._closed = False
        self.begin()

    def begin(self) -> None:
        """Empty, without a thread: at first, and in a forked child, where the parent's thread is not (but its locks
        may be held) and what waits is the parent's to send."""
        self._changed = threading.Condition(threading.RLock())
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._abandoned = False
        self._flushing = 0
        self._told: set[str] = set()
        self.counts = dict.fromkeys(Fate, 0)
        self.sidecar.forget()

    def put(self, record: Record) -> None:
        """Take a record along, or drop it when the queue is full."""
        with self._changed:
            if self._closed or self._waiting >= CAPACITY:
                self.counts[Fate.DROPPED] += 1
                is_full = not self._closed
            else:
                self._start()
                self._waiting += 1
                self._queue.put(record)
                return
        if is_full:
            self.tell("full", "%d records wait for %s; newer ones are dropped", CAPACITY, self.sidecar.address)

    def drop(self) -> None:
        """Count a record that never became one."""
        with self._changed:
            self.counts[Fate.DROPPED] += 1

    def tell(self, about: str, message: str, *values: object) -> None:
        """Log a warning, once for each thing there is to tell about."""
        with self._changed:
            if about in self._told:
                return
            self._told.add(about)
        with contextlib.suppress(Exception):  # an application's handler can raise
            log.warning(message + " (said once)", *values)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until nothing waits any more; whether that was reached. Until then, attempts follow one another fast."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._waiting, _timeout(timeout_seconds))
            finally:
                self._flushing -= 1

    def close(self, timeout_seconds: float) -> None:
        """Take nothing more, flush, give up what then still waits, and end the thread."""
        deadline = time.monotonic() + _timeout(timeout_seconds)
        with self._changed:
            self._closed = True
        self.flush(timeout_seconds)
        with self._changed:
            self._abandoned = True
            self.counts[Fate.DROPPED] += self._waiting
            self._waiting = 0
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> None:
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._work, name="llama-exporter-client", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._thread = None
            raise
        with contextlib.suppress(Exception):  # what we use of it is not documented
            self._close_with_child()

    def _close_with_child(self) -> None:
        """What multiprocessing forks ends without atexit, but with finalizers of its own."""
        process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
        if process is not None and util is not None and process.parent_process() is not None:
            util.Finalize(None, self.close, args=(EXIT_SECONDS,), exitpriority=0)

    def _work(self) -> None:
        while (record := self._queue.get()) is not None:
            self._settle(self._deliver(record))
        self.sidecar.close()

    def _deliver(self, record: Record) -> Fate:
        try:
            return self._try_until_settled(*record)
        except Exception as error:  # must not end the thread; its words may hold the key
            self.tell("failed", "a record could not be sent: %s", type(error).__name__)
            return Fate.DROPPED

    def _try_until_settled(self, path: str, body: bytes) -> Fate:
        errors = 0
        for pause_seconds in _backoff():
            if self._abandoned or errors >= ERROR_LIMIT:
                break
            try:
                answer = self.sidecar.post(path, body)
            except NO_ANSWER as error:
                if pause_seconds:
                    self._tell_of("away", "does not answer (%s); records wait", type(error).__name__)
                self._pause(pause_seconds)
            else:
                if answer.status != 429 and answer.status < 500:
                    return self._judge(path, answer)
                errors += answer.status == 500
                self._tell_of(f"status {answer.status}", "answers %d; records wait", answer.status)
                self._pause(max(pause_seconds, SHORTEST_PAUSE_SECONDS), answer.retry_seconds)
        return Fate.DROPPED

    def _judge(self, path: str, answer: Answer) -> Fate:
        if 200 <= answer.status < 300:
            return Fate.SENT
        shown = answer.body[:SHOWN_BYTES].decode("utf-8", "replace")
        self._tell_of(f"refused {path}", "refuses a record: %d %r", answer.status, shown)
        return Fate.REFUSED

    def _tell_of(self, about: str, message: str, *values: object) -> None:
        self.tell(about, "%s " + message, self.sidecar.address, *values)

    def _pause(self, seconds: float, asked_seconds: float | None = None) -> None:
        """Wait, less while somebody flushes; but who says when to come again is taken at his word."""
        with self._changed:
            if asked_seconds is not None:
                asked_seconds = min(max(asked_seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
                self._changed.wait_for(lambda: self._abandoned, asked_seconds)
            elif self._changed.wait_for(lambda: self._abandoned or self._flushing, seconds):
                self._changed.wait_for(lambda: self._abandoned, min(seconds, SHORTEST_PAUSE_SECONDS))

    def _settle(self, fate: Fate) -> None:
        with self._changed:
            if self._abandoned:
                return  # counted already
            self.counts[fate] += 1
            self._waiting -= 1
            self._changed.notify_all()


def _backoff() -> Iterator[float]:
    yield from BACKOFF_SECONDS
    while True:
        yield BACKOFF_SECONDS[-1]


def _timeout(seconds: float) -> float:
    return min(max(seconds, 0.0), threading.TIMEOUT_MAX) if not math.isnan(seconds) else 0.0
