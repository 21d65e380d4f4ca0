"""The list of requests, over real connections where it streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.completions.listing import PAGE_ROWS, read_pages
from exporter.api.completions.queries import PageQuery
from exporter.api.completions.rows import completion_request
from exporter.dates import write_naive
from exporter.store.figures import Cursor, Period, StoredRequest
from tests.api.completions.past import AWAY, WALL_US, FakePast, make_app, place, stored
from tests.proxy.harness import ask
from tests.serving import Serving, on_both_loops, on_our_loop, serving, until

T = TypeVar("T")
PATH = "/completion_requests"


class GatedPast(FakePast):
    """Pages from the second on wait until the test says so."""

    def __init__(self, rows: int = 3 * PAGE_ROWS) -> None:
        super().__init__(stored(number) for number in range(rows))
        self.gate = asyncio.Event()
        self.waiting = self.given = 0

    async def page(
        self, period: Period, after: Cursor | None, count: int, shape: Callable[[Sequence[StoredRequest]], T]
    ) -> tuple[T, Cursor | None]:
        if after is not None:
            self.waiting += 1
            await self.gate.wait()
        found = await super().page(period, after, count, shape)
        self.given += 1
        return found


class EndlessPast(FakePast):
    """Rows that are made when they are asked for."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows
        self.written_bytes = 0

    async def page(
        self, period: Period, after: Cursor | None, count: int, shape: Callable[[Sequence[StoredRequest]], T]
    ) -> tuple[T, Cursor | None]:
        self.asked.append((period, after, count))
        begin = 1 if after is None else (WALL_US - after.finished_us) // 1000 + 1
        rows = [stored(number) for number in range(begin, min(begin + count, self.rows + 1))]
        written = await asyncio.to_thread(shape, rows)
        if isinstance(written, bytes):
            self.written_bytes += len(written)
        return written, place(rows[-1]) if begin + count <= self.rows else None


@asynccontextmanager
async def served(past: FakePast, **options: Any) -> AsyncIterator[Serving]:
    async with serving(make_app(past), websockets=(False,), **options) as running:
        yield running


async def fetch(running: Serving, target: str = PATH) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as client:
        answer = await client.get(target)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    return answer.json()


async def ask_around(running: Serving) -> None:
    """Have the event loop turn many times: whatever was going to happen has happened then."""
    client = await running.connect()
    for _ in range(20):
        status, _, _ = await client.exchange(ask("GET", "/health"))
        assert status == 200


@pytest.mark.parametrize("rows", [0, 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS, 345])
@on_both_loops
async def test_all_rows_newest_first(rows: int) -> None:
    past = FakePast(stored(number) for number in range(rows))
    async with served(past) as running:
        assert await fetch(running) == [completion_request(row) for row in past.requests]
    counts = [count for _, _, count in past.asked]
    assert counts == [PAGE_ROWS] * max(-(-rows // PAGE_ROWS), 1)


@on_our_loop
async def test_filters() -> None:
    past = FakePast(stored(number) for number in range(10))
    start, end, before = (write_naive(past.requests[number].finished_us) for number in (7, 2, 3))
    async with served(past) as running:
        rows = await fetch(running, f"{PATH}?start={start}&end={end}&before={before}&instance=box")
        assert rows == [completion_request(stored(number)) for number in (4, 5, 6, 7)]
        assert past.asked[0][0] == Period(WALL_US - 7000, WALL_US - 3001, "box")
        assert await fetch(running, f"{PATH}?start={start}&before={start}") == []
        assert len(past.asked) == 1, "nothing can be in there"


@on_both_loops
async def test_the_first_rows_come_before_the_second_page_is_read() -> None:
    past = GatedPast()
    async with served(past) as running:
        client = await running.connect()
        await client.send(ask("GET", PATH))
        status, fields = await client.head()
        assert (status, dict(fields)[b"transfer-encoding"]) == (200, b"chunked")
        chunks = client.chunks()
        first = await anext(chunks)
        assert len(json.loads(first + b"]")) == PAGE_ROWS
        assert past.given == 1
        past.gate.set()
        rest = b"".join([chunk async for chunk in chunks])
    assert len(json.loads(first + rest)) == 3 * PAGE_ROWS


HELD_PAGES = 4
"""As many as fit into the connection of the test below, at most: 16 KiB at either end, and what the kernel adds."""


@on_both_loops
async def test_a_slow_reader_is_waited_for() -> None:
    past = EndlessPast(50_000)
    async with served(past, send_buffer=16_384) as running:
        client = await running.connect(receive_buffer=16_384)
        await client.send(ask("GET", PATH))
        await until(lambda: len(past.asked) >= 2)
        await ask_around(running)
        held = len(past.asked)
        assert held <= HELD_PAGES, "more than the connection can hold has been asked for"
        status, _ = await client.head()
        chunks = client.chunks()
        rows = [await anext(chunks) for _ in range(held)]
        await until(lambda: len(past.asked) > held)
        await ask_around(running)
        assert len(past.asked) <= len(rows) + HELD_PAGES + 1
        rows += [chunk async for chunk in chunks]
    assert status == 200
    assert len(json.loads(b"".join(rows))) == 50_000


@on_both_loops
async def test_nothing_is_read_for_a_client_that_has_left() -> None:
    past = GatedPast()
    async with served(past) as running:
        client = await running.connect()
        await client.send(ask("GET", PATH))
        await client.head()
        await until(lambda: past.waiting == 1)
        client.abort()
        await running.until_open(0)
        past.gate.set()
        await until(lambda: past.given == 2)
        await ask_around(running)
    assert past.waiting == 1
    assert past.given == 2


@on_both_loops
async def test_a_client_that_leaves_while_it_is_waited_for() -> None:
    past = EndlessPast(50_000)
    async with served(past, send_buffer=16_384) as running:
        client = await running.connect(receive_buffer=16_384)
        await client.send(ask("GET", PATH))
        await until(lambda: len(past.asked) >= 2)
        client.abort()
        await running.until_open(0)
        asked = len(past.asked)
        await ask_around(running)
    assert asked < 10, "what the kernel holds, not the whole list"
    assert len(past.asked) == asked


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("page", [1, 2])
@on_both_loops
async def test_a_store_that_fails_in_the_middle(version: str, page: int, caplog: pytest.LogCaptureFixture) -> None:
    past = FakePast(stored(number) for number in range(3000))
    past.fails_from_page = page
    async with served(past) as running:
        client = await running.connect()
        await client.send(f"GET {PATH} HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        status, _ = await client.head()
        got = await client.rest()
        await running.until_open(0)
    assert status == 200
    assert b'"timestamp"' in got
    assert not got.endswith((b"]", b"0\r\n\r\n")), "this looks complete"
    with pytest.raises(ValueError, match=r"Expecting|Extra"):
        json.loads(got)
    assert [record for record in caplog.records if record.message == "list of requests broken off"]


@on_our_loop
async def test_a_client_notices_that_it_is_not_complete() -> None:
    past = FakePast(stored(number) for number in range(3000))
    past.fails_from_page = 1
    async with served(past) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(running)


@on_our_loop
async def test_a_store_that_fails_before_the_start() -> None:
    past = FakePast([stored()])
    past.fails_from_page = 0
    async with served(past) as running:
        client = await running.connect()
        status, fields, body = await client.exchange(ask("GET", PATH))
        assert (status, json.loads(body)) == (503, {"detail": AWAY})
        assert dict(fields)[b"retry-after"] == b"5"
        past.fails_from_page = -1
        status, _, _ = await client.exchange(ask("GET", PATH))
        assert status == 200


@on_both_loops
async def test_head_reads_nothing() -> None:
    past = FakePast([stored()])
    async with served(past) as running:
        client = await running.connect()
        await client.send(ask("HEAD", PATH))
        status, fields = await client.head()
        assert status == 200
        assert past.asked == []
        _, got, _ = await client.exchange(ask("GET", PATH))
        await client.send(ask("HEAD", f"{PATH}?limit=0"))
        status, _ = await client.head()
    assert [field for field in got if field[0] != b"transfer-encoding"] == fields
    assert status == 400


@on_our_loop
async def test_http_1_0() -> None:
    past = FakePast(stored(number) for number in range(1500))
    async with served(past) as running:
        client = await running.connect()
        await client.send(f"GET {PATH} HTTP/1.0\r\n\r\n".encode())
        await client.head()
        assert len(json.loads(await client.rest())) == 1500


@on_our_loop
async def test_a_long_list_takes_no_memory() -> None:
    """A hundred thousand rows: of them, what is written and not yet read is a few pages."""
    past = EndlessPast(100_000)
    async with served(past) as running:
        client = await running.connect()
        await client.send(ask("GET", PATH))
        await client.head()
        size = most = 0
        async for chunk in client.chunks():
            most = max(most, past.written_bytes - size)
            size += len(chunk)
    assert size > 30_000_000
    assert most < size / 40
    assert [count for _, _, count in past.asked] == [PAGE_ROWS] * (100_000 // PAGE_ROWS)


# Pages


async def gather(past: FakePast, query: PageQuery) -> list[Any]:
    pieces = [piece async for piece in read_pages(past, query)]
    rows: list[Any] = json.loads(b"[" + b",".join(piece for piece in pieces if piece) + b"]")
    return rows


async def walk(past: FakePast, period: Period, limit: int) -> list[Any]:
    """All rows as a client gets them that pages."""
    rows: list[Any] = []
    while page := await gather(past, PageQuery(period, limit)):
        assert len(page) >= min(limit, len(past.requests) - len(rows))
        rows += page
        last_us = past.requests[len(rows) - 1].finished_us
        period = period._replace(end_us=last_us - 1)
    return rows


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 12))
def test_paging_loses_nothing_and_gives_nothing_twice(moments: list[int], limit: int) -> None:
    past = FakePast(
        stored(id=number, finished_us=WALL_US + moment, message_count=number) for number, moment in enumerate(moments)
    )
    rows = asyncio.run(walk(past, Period(), limit))
    assert rows == [completion_request(row) for row in past.requests]


async def test_more_rows_in_one_microsecond_than_in_a_page() -> None:
    past = FakePast(stored(id=number, finished_us=WALL_US, message_count=number) for number in range(250))
    assert len(await gather(past, PageQuery(Period(instance="box"), 10))) == 250
    moment = Period(WALL_US, WALL_US, "box")
    assert [(period, count) for period, _, count in past.asked] == [
        *((Period(instance="box"), 10), (moment, PAGE_ROWS), (moment, PAGE_ROWS), (moment, PAGE_ROWS)),
    ]


async def test_a_limit_is_kept_over_pages() -> None:
    past = FakePast(stored(number) for number in range(3 * PAGE_ROWS))
    assert len(await gather(past, PageQuery(Period(), 2 * PAGE_ROWS - 50))) == 2 * PAGE_ROWS - 50
    assert [count for _, _, count in past.asked] == [PAGE_ROWS, PAGE_ROWS - 50, PAGE_ROWS]
