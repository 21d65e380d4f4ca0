"""The benchmark's llama-server: canned answers of a real one, written as cheaply as an event loop can.

A process of its own: `python -m tests.bench.upstream [PORTS]` prints its port, or so many of them, and serves until its
standard input is closed.
The query says what a POST is answered with: nothing for the JSON answer, `n=64&ms=10` for a stream of 64 content chunks
with 10 ms between two (0: one per turn of the event loop); the body of the request is read and thrown away. A GET is
answered with the capture of the same name (health, props, slots, models, metrics), since proxies look at those.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from functools import cache
from itertools import cycle, islice
from typing import cast
from urllib.parse import parse_qs

import uvloop

from tests.fakes.captures import golden
from tests.fakes.wire import LAST_CHUNK, chunk

FRAMING_CHUNKS = 3
"""Chunks of a stream that are not content: the role, the final timings, `[DONE]`."""

GETS = {"/health": "health", "/props": "props", "/slots": "slots-idle", "/v1/models": "models", "/metrics": "metrics"}


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer: its parts, and the time between the starts of two of them."""

    parts: tuple[bytes, ...]
    pace_seconds: float = 0.0


def stream_parts(contents: int) -> tuple[bytes, ...]:
    """A chat stream as llama-server sends it, one part per chunk, the head before the first one."""
    real = golden("chat-stream")
    role, *content, timings, done = real.frames
    frames = [role, *islice(cycle(content), contents), timings, done]
    first, *rest = map(chunk, frames)
    return (real.head + first, *rest[:-1], rest[-1] + LAST_CHUNK)


@cache
def canned(line: bytes) -> Canned:
    """The answer to a request line. Cached: a benchmark sends few different ones."""
    method, _, target = line.decode("latin-1").rpartition(" ")[0].partition(" ")
    path, _, query = target.partition("?")
    if method == "GET":
        return Canned((b"".join(golden(GETS.get(path, "not-found")).pieces()),))
    options = parse_qs(query)
    if "n" in options:
        return Canned(stream_parts(int(options["n"][0])), float(options["ms"][0]) / 1000)
    return Canned((b"".join(golden("chat").pieces()),))


class Upstream(asyncio.Protocol):
    """One connection: a request at a time, its body skipped, its answer written part by part."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._head = b""
        self._left = 0
        """Bytes of the request's body still to come; -1 while a chunked one goes on."""
        self._answer: Canned

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._skip(data)
            return
        data = self._head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return
        self._head = b""
        self._answer = canned(data[: data.find(b"\r\n")])
        self._left = body_length(data[:end].lower())
        if self._left:
            self._skip(data[end + 4 :])
        else:
            self._write(0, self._loop.time())

    def _skip(self, data: bytes) -> None:
        if self._left > 0:
            self._left = max(0, self._left - len(data))
        elif data.endswith(LAST_CHUNK):
            self._left = 0
        if not self._left:
            self._write(0, self._loop.time())

    def _write(self, index: int, started: float) -> None:
        """Write one part, and see to it that the next one is written in its time."""
        if self._transport.is_closing():
            return
        self._transport.write(self._answer.parts[index])
        index += 1
        if index == len(self._answer.parts):
            return
        if self._answer.pace_seconds:
            self._loop.call_at(started + index * self._answer.pace_seconds, self._write, index, started)
        else:
            self._loop.call_soon(self._write, index, started)


def body_length(lower_head: bytes) -> int:
    """Length of the request's body; -1 when it is chunked."""
    at = lower_head.find(b"\r\ncontent-length:")
    if at >= 0:
        return int(lower_head[at + 17 :].split(b"\r\n", 1)[0])
    return -1 if b"\r\ntransfer-encoding:" in lower_head else 0


async def serve(count: int) -> None:
    """Serve on so many free ports until standard input is closed."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Upstream, "127.0.0.1", 0, backlog=4096) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
