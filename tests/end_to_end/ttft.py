"""How far is our time to first token from what a client saw that does nothing else? `measure` runs it."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from typing import cast

from exporter.demo.engine import Engine
from tests.bench.arithmetic import percentile
from tests.end_to_end.records import wait_for_records
from tests.end_to_end.sidecar import Sidecar

STREAMS = {
    "/v1/chat/completions": b'{"messages":[{"role":"user","content":"%b"}],"max_tokens":12,"stream":true}',
    "/v1/completions": b'{"prompt":"%b","max_tokens":12,"stream":true}',
    "/completion": b'{"prompt":"%b","n_predict":12,"stream":true}',
}
CONTENT = re.compile(rb'"(?:content|text)":"[^"]')


class LeanClient(asyncio.Protocol):
    """Sends streamed requests one after the other and notes when the first content arrives, with as little work as can
    be."""

    def __init__(self, requests: Iterator[tuple[str, bytes]], seen: dict[str, float]) -> None:
        self._requests = requests
        self._seen = seen
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        following = next(self._requests, None)
        if following is None:
            self._transport.close()
            self.done.set_result(None)
            return
        self._tag, request = following
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if self._tag not in self._seen and CONTENT.search(self._received):
            self._seen[self._tag] = now - self._sent_at
        if self._received.endswith(b"0\r\n\r\n"):
            self._next()


def stream_requests(count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(21)
    for number in range(count):
        path = rng.choice(list(STREAMS))
        words = " ".join(rng.choices(("hello", "how", "are", "you"), k=rng.choice((2, 20, 200))))
        body = STREAMS[path] % words.encode()
        tag = f"http://request-{number}"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nOrigin: {tag}\r\nContent-Length: {len(body)}\r\n\r\n"
        yield tag, head.encode() + body


async def look_at_streams(sidecar: Sidecar, count: int, connections: int) -> dict[str, float]:
    seen: dict[str, float] = {}
    requests = stream_requests(count)
    port = int(sidecar.proxy.rpartition(":")[2])
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: LeanClient(requests, seen), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return seen


def measure_ttft(engine: Engine, requests: int, connections: int) -> None:
    with Sidecar("--upstream", engine.url, "--log-level", "debug") as sidecar:
        seen = asyncio.run(look_at_streams(sidecar, requests, connections))
        records = wait_for_records(sidecar, requests)
    differences = [
        (seconds - ours) * 1000
        for tag, seconds in seen.items()
        if isinstance(ours := records[tag]["ttft_seconds"], float)
    ]
    p50, p99 = percentile(differences, 50), percentile(differences, 99)
    print(f"TTFT, client less ours: {len(differences)} streams at {connections} connections")
    print(
        f"  p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {max(differences):.2f} ms, shortest {min(differences):.2f} ms"
    )
