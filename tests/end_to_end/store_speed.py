"""How fast a full store answers, what that does to the traffic, and how fast one can be written. `measure store` runs
it and prints what it finds.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Self

import httpx

from exporter.record import RequestRecord
from exporter.store import migration
from exporter.store.database import Database
from exporter.store.writer import Writer
from exporter.tasks import cancel, spawn
from tests.bench.arithmetic import percentile
from tests.bench.load import Sample
from tests.bench.processes import resident_bytes
from tests.bench.rounds import run_load
from tests.bench.scrape import GAP
from tests.bench.targets import NO_STORE, PROXY_COMMAND, Target, start_ours
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_books import figures as sums_of
from tests.end_to_end.store_fill import DAY_SECONDS, records
from tests.end_to_end.store_views import JSON

CALLS = 200
SECOND_US, MINUTE_US = 1_000_000, 60_000_000
SHORTEST_SECONDS = 60
LIST_ROWS = 100_000
LISTS, STREAMS = 3, 6
LOOK_SECONDS = 0.02
Bounds = tuple[int | None, int | None]
"""Of a period, in microseconds; None: all time."""


@contextmanager
def serving(home: Path, upstream_port: int, url: str) -> Iterator[Target]:
    """A sidecar on the store, which is open."""
    command = PROXY_COMMAND.replace(NO_STORE, f"--store {url}")
    with start_ours(home, upstream_port, command) as target:
        deadline = time.monotonic() + 30
        while httpx.get(f"{admin(target)}/completion_requests?limit=1").status_code != 200:
            assert time.monotonic() < deadline, (home / "proxy.log").read_text()
            time.sleep(0.05)
        yield target


def admin(target: Target) -> str:
    """The base URL of the admin listener."""
    return f"http://127.0.0.1:{target.admin_port}"


# Figures


@dataclass(frozen=True, slots=True)
class Calls:
    """Answers of one kind. Seconds."""

    what: str
    seconds: list[float]
    wrong: int
    """Answers that are not the sums of the rows."""

    def at(self, q: float) -> float:
        """A percentile."""
        return percentile(self.seconds, q) or 0.0


def measure_figures(target: Target, url: str, newest_us: int, days: float, calls: int = CALLS) -> list[Calls]:
    """`/metrics` for all time, for random periods of whole minutes, and for random periods."""
    oldest_us = newest_us - round(days * DAY_SECONDS * SECOND_US)
    rng = random.Random(11)
    ragged = [_period(rng, oldest_us, newest_us) for _ in range(calls)]
    aligned = [(_floor(start), max(_floor(end), _floor(start) + MINUTE_US) - 1) for start, end in ragged]
    kinds: dict[str, list[Bounds]] = {
        "all time": [(None, None)] * calls,
        "whole minutes": [*aligned],
        "ragged": [*ragged],
    }
    return [_call(target, url, what, periods) for what, periods in kinds.items()]


def _period(rng: random.Random, oldest_us: int, newest_us: int) -> tuple[int, int]:
    """From a minute to all of it, short ones as often as long ones."""
    whole = newest_us - oldest_us
    length = int(SHORTEST_SECONDS * SECOND_US * (whole / (SHORTEST_SECONDS * SECOND_US)) ** rng.random())
    start = rng.randrange(oldest_us, newest_us - length + 1)
    return start, start + length


def _floor(moment_us: int) -> int:
    return moment_us - moment_us % MINUTE_US


def _call(target: Target, url: str, what: str, periods: list[Bounds]) -> Calls:
    found, answers = Calls(what, [], 0), []
    with httpx.Client(base_url=admin(target), headers=JSON, timeout=60) as client:
        client.get("/metrics")
        for start, end in periods:
            query = {"start": write(start), "end": write(end)} if start is not None and end is not None else {}
            began = time.monotonic()
            answer = client.get("/metrics", params=query)
            found.seconds.append(time.monotonic() - began)
            answers.append(answer.raise_for_status().json())
    return replace(found, wrong=_check(url, periods, answers))


def write(moment_us: int | None) -> str:
    """A moment as clients write it."""
    assert moment_us is not None
    seconds, rest = divmod(moment_us, SECOND_US)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"


def _check(url: str, periods: list[Bounds], answers: list[dict[str, object]]) -> int:
    """How many answers are wrong. Nobody writes meanwhile."""
    wrong, known = 0, {}
    with Books(url).opened() as books:
        for period, answer in zip(periods, answers, strict=True):
            if period not in known:
                start, end = period
                known[period] = sums_of(books) if start is None or end is None else sums_of(books, start, end)
            wrong += any(answer[key] != value for key, value in known[period].items())
    return wrong


# The list


@dataclass(frozen=True, slots=True)
class Listed:
    """`/completion_requests`, once. Seconds."""

    first_byte: float
    whole: float
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Gaps:
    """One stream of a chunk each 10 ms: how much later than that chunks came. Seconds."""

    p99: float
    longest: float
    errors: int

    @classmethod
    def of(cls, samples: list[Sample]) -> Gaps:
        """Medians of several streams."""
        return cls(
            p99=median((sample.gap_p99 or 0.0) - GAP.pace_seconds for sample in samples),
            longest=median((sample.gap_max or 0.0) - GAP.pace_seconds for sample in samples),
            errors=sum(sum(sample.errors.values()) for sample in samples),
        )


@dataclass(frozen=True, slots=True)
class Listing:
    """What the list costs, and whom."""

    alone: list[Listed]
    quiet: Gaps
    during: Gaps
    lists_during: int
    resident_before: int
    resident_peak: int
    resident_after: int


def measure_listing(home: Path, upstream_port: int, url: str, rows: int = LIST_ROWS) -> Listing:
    """Of a store that is full, on a sidecar that has just started."""
    with serving(home, upstream_port, url) as target:
        time.sleep(1)
        memory = Watch(lambda: resident_bytes(target.pids))
        with memory.watching():
            alone = [read_list(target, rows) for _ in range(LISTS)]
        quiet, during, lists = [], [], 0
        for _ in range(STREAMS):
            quiet.append(run_load(GAP.plan(target.port, target.pids, 0)))
            with Reader(target, rows) as reader, memory.watching():
                during.append(run_load(GAP.plan(target.port, target.pids, 0)))
            lists += reader.lists
        time.sleep(1)
        return Listing(
            alone,
            Gaps.of(quiet),
            Gaps.of(during),
            lists,
            memory.seen[0],
            max(memory.seen),
            resident_bytes(target.pids),
        )


def read_list(target: Target, rows: int) -> Listed:
    """Read it as fast as it comes, and count its rows."""
    began = time.monotonic()
    pieces = pull(target, rows)
    first = next(pieces)
    first_byte = time.monotonic() - began
    whole = b"".join([first, *pieces])
    seconds = time.monotonic() - began
    assert whole.startswith(b"HTTP/1.1 200"), whole[:200]
    assert whole.endswith(b"]\r\n0\r\n\r\n"), whole[-200:]
    return Listed(first_byte, seconds, len(whole), whole.count(b'"is_streaming"'))


def pull(target: Target, rows: int) -> Iterator[bytes]:
    """The answer in the pieces in which it comes."""
    assert target.admin_port is not None
    with socket.create_connection(("127.0.0.1", target.admin_port), timeout=60) as connection:
        request = f"GET /completion_requests?limit={rows} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        while piece := connection.recv(1 << 20):
            yield piece


class Reader:
    """Lists again and again, in a thread."""

    def __init__(self, target: Target, rows: int) -> None:
        self.lists = 0
        self._target = target
        self._rows = rows
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.is_set():
            for _ in pull(self._target, self._rows):
                if self._stop.is_set():
                    return
            self.lists += 1


@dataclass(slots=True)
class Watch:
    """Looks at a number all the time."""

    look: Callable[[], int]
    seen: list[int] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block runs."""
        stop = threading.Event()
        self.seen.append(self.look())
        thread = threading.Thread(target=self._watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_SECONDS):
            self.seen.append(self.look())


# The writer


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer did with so many records a second."""

    rate: int
    """Wanted."""
    fed: float
    """Reached, a second."""
    longest_queue: int
    late_seconds: float
    """From the last record until all were written."""
    record_us: float
    """CPU time of the process for each record, less what it takes to feed nobody."""
    loop_late: float
    """By how much the event loop woke up late, p99, in seconds."""
    dropped: int

    @property
    def sustained(self) -> bool:
        """Whether it kept up: nothing was dropped, and no more waited than comes in two seconds."""
        return not self.dropped and self.longest_queue <= 2 * self.rate and self.fed > 0.95 * self.rate


def measure_writer(url: str, rate: int, seconds: float) -> Written:
    """Into the store at `url`."""
    now = time.time()
    made = list(records(round(rate * seconds), now, now + seconds, seed=rate))
    return asyncio.run(_feed_writer(url, rate, made))


@dataclass(slots=True)
class _Fed:
    seconds: float = 0.0
    cpu: float = 0.0
    late: list[float] = field(default_factory=list)
    longest_queue: int = 0


async def _feed_writer(url: str, rate: int, made: list[RequestRecord]) -> Written:
    nobody = await _feed(rate, made[: len(made) // 4], lambda _: None, lambda: 0)
    database = Database(url)
    migration.migrate(database)
    writer = Writer(database, "box", queue_limit=max(20_000, 2 * rate))
    running = spawn(writer.run(), name="writer")
    while not writer.is_open:
        await asyncio.sleep(0.01)
    cpu = time.process_time()
    fed = await _feed(rate, made, writer.record, lambda: writer.status().queue_length)
    began = time.monotonic()
    while writer.status().queue_length:
        await asyncio.sleep(0.01)
    cpu, late = time.process_time() - cpu, time.monotonic() - began
    await cancel(running)
    await writer.close()
    each = cpu / len(made) - nobody.cpu / (len(made) // 4)
    return Written(
        rate=rate,
        fed=len(made) / fed.seconds,
        longest_queue=fed.longest_queue,
        late_seconds=late,
        record_us=each * 1e6,
        loop_late=percentile(fed.late, 99) or 0.0,
        dropped=sum(writer.status().dropped.values()),
    )


async def _feed(
    rate: int, made: list[RequestRecord], record: Callable[[RequestRecord], None], waiting: Callable[[], int]
) -> _Fed:
    """Hand out what is due, each 5 ms."""
    fed, given = _Fed(), 0
    began, cpu = time.monotonic(), time.process_time()
    while given < len(made):
        wanted = time.monotonic() + 0.005
        await asyncio.sleep(0.005)
        fed.late.append(time.monotonic() - wanted)
        due = min(len(made), round((time.monotonic() - began) * rate))
        for each in made[given:due]:
            record(each)
        given = due
        fed.longest_queue = max(fed.longest_queue, waiting())
    fed.seconds, fed.cpu = time.monotonic() - began, time.process_time() - cpu
    return fed
