"""The measurement of the live contracts: what a reader counts, and what the table says."""

from __future__ import annotations

from typing import Any, cast

import pytest

from exporter.websocket_protocol import text_frame
from tests.bench.live import Crowded, LiveResult, RouteFigures
from tests.bench.readers import EVENTS, WEBSOCKET, Crowd, Reader, Reading, ReadingPlan
from tests.bench.table import render_live

HEADS = {
    WEBSOCKET: b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    EVENTS: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
}
PING = b"\x89\x04ping"


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data


def connect(path: str) -> tuple[Crowd, Reader, Transport]:
    crowd = Crowd(ReadingPlan(1, path, 1, 1.0))
    reader, transport = Reader(crowd), Transport()
    reader.connection_made(cast(Any, transport))
    reader.data_received(HEADS[path])
    crowd.measuring = True
    return crowd, reader, transport


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100_000])
async def test_messages_are_counted_however_they_arrive(size: int) -> None:
    crowd, reader, _ = connect(WEBSOCKET)
    stream = text_frame(b"short") + text_frame(b"x" * 300) + text_frame(b"y" * 70_000)
    for start in range(0, len(stream), size):
        reader.data_received(stream[start : start + size])
    assert len(reader.times) == 3
    assert crowd.received == len(stream)
    assert reader.opened.result() is True


async def test_pings_are_answered_and_are_no_messages() -> None:
    _, reader, transport = connect(WEBSOCKET)
    asked = transport.written
    reader.data_received(text_frame(b"a") + PING + text_frame(b"b"))
    assert len(reader.times) == 2
    assert transport.written == asked + b"\x8a\x84\0\0\0\0ping"


async def test_events_are_counted_and_comments_are_not() -> None:
    _, reader, _ = connect(EVENTS)
    reader.data_received(b"event: update\ndata: {}\n\n: heartbeat\n\nevent: update\ndata: {}\n\n")
    assert len(reader.times) == 2


async def test_whoever_is_refused_is_an_error() -> None:
    crowd = Crowd(ReadingPlan(1, EVENTS, 1, 1.0))
    reader = Reader(crowd)
    reader.connection_made(cast(Any, Transport()))
    reader.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert reader.opened.result() is False
    assert crowd.errors == {"status 503": 1}


def test_the_table() -> None:
    reading = Reading(
        connected=1000,
        seconds=10.0,
        messages=10_000,
        bytes=50_000_000,
        fewest=9,
        period_mean=1.0,
        jitter_p99=0.0057,
        jitter_max=0.0061,
        opening_seconds=2.0,
        errors={"connection lost": 3},
    )
    crowd = Crowded(WEBSOCKET, reading, 69_000_000, 0.1, 0.001, 26_000_000, 0.022, 0.0003)
    text = render_live(LiveResult([RouteFigures("/api/metrics", 163, 0.0009, 0.00123, 0.0016, 2)], reading, [crowd]))
    lines = [line.split() for line in text.splitlines()]
    assert ["/api/metrics", "163", "0.90", "1.23", "1.60", "2"] in lines
    assert "period 1,000.00 ms on average, p99 5.70 ms off, at most 6.10 ms" in text
    figures = "69 + 26 26.0 10.0 + 2.2 1.00 + 0.30 10,000 9 5.0 3"
    assert [WEBSOCKET, *figures.split()] in lines
