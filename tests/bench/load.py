"""The load generator: many keep-alive connections, raw bytes, and a clock.

A process of its own: `python -m tests.bench.load PLAN` prints a `Sample`, both as JSON. Each connection sends its next
request as soon as an answer is complete. The CPU clock of the measured proxy is read here too, at the same moments as
the counters.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

from exporter.tasks import spawn
from tests.bench.arithmetic import percentile
from tests.bench.processes import cpu_seconds
from tests.fakes.wire import LAST_CHUNK

GRACE_SECONDS = 5.0
"""How long answers that are under way at the end of the measured interval may take."""


ERROR_LIMIT = 1000
"""Lost connections are replaced until there were so many errors."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, where, and for how long."""

    port: int
    target: str
    """Path and query of the request."""
    stream: bool = False
    connections: int = 1
    seconds: float = 1.0
    """The measured interval, after the warm-up."""
    warmup_seconds: float = 0.5
    ramp_seconds: float = 0.0
    """The connections are opened evenly over this time, within the warm-up."""
    requests: int | None = None
    """Stop after so many, however long that takes (up to `seconds`)."""
    model: str = "tiny"
    models: int = 1
    """Number of distinct model names, sent in turn; `model` is the one when there is one."""
    prompt_bytes: int = 8
    """Length of the user's message."""
    messages: tuple[str, ...] = ()
    """The user's messages, sent in turn, in the place of that one."""
    pids: tuple[int, ...] = ()
    """Processes whose CPU time is measured."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured in one interval. Times are seconds; percentiles are None when nothing was complete."""

    seconds: float
    cpu_seconds: float
    """CPU time of the measured processes, user and system."""
    answers: float
    """Answers' worth of bytes received: whole answers and parts of those under way at either end."""
    completed: int
    reads: int
    """Pieces in which the kernel handed us the bytes."""
    p50: float | None
    p99: float | None
    ttfb_p50: float | None
    gap_p99: float | None
    """Time between two reads of one answer."""
    gap_max: float | None
    errors: dict[str, int] = field(default_factory=dict)
    """In the whole run, warm-up included."""


def request_bytes(plan: Plan, number: int) -> bytes:
    """The request number so-and-so, head and body."""
    model = plan.model if plan.models == 1 else f"model-{number % plan.models:05d}"
    text = plan.messages[number % len(plan.messages)] if plan.messages else "x" * plan.prompt_bytes
    chat = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 64}
    body = json.dumps(chat | ({"stream": True} if plan.stream else {})).encode()
    head = (
        f"POST {plan.target} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nUser-Agent: bench\r\n"
        "Accept: application/json\r\nAuthorization: Bearer none\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Load:
    """The run as a whole: hands out requests, keeps the clocks and the counters of the measured interval."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.measuring = False
        self.received = 0
        self.reads = 0
        self.latencies: list[float] = []
        self.first_bytes: list[float] = []
        self.gaps: list[float] = []
        self.errors: Counter[str] = Counter()
        self.finished = asyncio.get_running_loop().create_future()
        """Done when as many requests as planned were answered or have failed."""
        self._sent = 0
        self._completed = 0
        self._ended = 0
        self._answer_bytes = 0
        self._stopping = False
        self._requests = [request_bytes(plan, number) for number in range(max(plan.models, len(plan.messages)))]
        self._clients: list[Client] = []
        self._opening: list[asyncio.Task[None]] = []

    @property
    def exhausted(self) -> bool:
        """No more requests are wanted."""
        return self._stopping or self._sent == self.plan.requests

    def next_request(self) -> bytes | None:
        """The next request to send; None when no more are wanted."""
        if self.exhausted:
            return None
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def complete(self, latency: float, size: int) -> None:
        """An answer is complete."""
        self._completed += 1
        self._answer_bytes += size
        if self.measuring:
            self.latencies.append(latency)
        self._end_one()

    def fail(self, reason: str) -> None:
        """A request will not be answered."""
        self.errors[reason] += 1
        self._end_one()

    def _end_one(self) -> None:
        self._ended += 1
        if self._ended == self.plan.requests and not self.finished.done():
            self.finished.set_result(None)

    async def run(self) -> Sample:
        """Open the connections, warm up, measure, let what is under way come to its end."""
        for number in range(self.plan.connections):
            self.open(self.plan.ramp_seconds * number / self.plan.connections)
        await asyncio.sleep(self.plan.warmup_seconds)
        started, cpu = time.monotonic(), cpu_seconds(self.plan.pids)
        self.measuring = True
        await asyncio.wait([self.finished], timeout=self.plan.seconds)
        self.measuring = False
        seconds, cpu = time.monotonic() - started, cpu_seconds(self.plan.pids) - cpu
        self._stopping = True
        await asyncio.gather(*self._opening)
        await self._drain()
        return self._sample(seconds, cpu)

    def open(self, delay_seconds: float = 0.0) -> None:
        """Open one more connection, which begins to send at once."""
        if not self.exhausted:
            self._opening.append(spawn(self._open(delay_seconds), name="open"))

    async def _open(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        client = Client(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: client, "127.0.0.1", self.plan.port)
        except OSError as error:
            self.errors[f"connect: {type(error).__name__}"] += 1
        else:
            self._clients.append(client)

    async def _drain(self) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        while any(client.busy for client in self._clients) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for client in self._clients:
            self.errors["unfinished"] += client.busy
            client.leave()

    def _sample(self, seconds: float, cpu: float) -> Sample:
        size = self._answer_bytes / self._completed if self._completed else 0.0
        return Sample(
            seconds=seconds,
            cpu_seconds=cpu,
            answers=self.received / size if size else 0.0,
            completed=len(self.latencies),
            reads=self.reads,
            p50=percentile(self.latencies, 50),
            p99=percentile(self.latencies, 99),
            ttfb_p50=percentile(self.first_bytes, 50),
            gap_p99=percentile(self.gaps, 99),
            gap_max=percentile(self.gaps, 100),
            errors=dict(+self.errors),
        )


class Client(asyncio.Protocol):
    """One connection: the least parsing that tells where an answer ends."""

    def __init__(self, load: Load) -> None:
        self.busy = False
        self._load = load
        self._transport: asyncio.Transport
        self._sent_at = 0.0
        self._read_at = 0.0
        self._received = 0
        self._expected: int | None = None
        """Size of the whole answer; None when it is chunked."""
        self._start = b""
        """The answer's first bytes until the head is complete."""
        self._tail = b""
        self._last = False
        """The proxy said that it closes the connection after this answer."""
        self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def leave(self) -> None:
        """Close the connection; what happens to it from now on is no error."""
        self._left = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._count(now, len(data))
        if self._tail:
            self._tail = (self._tail + data)[-5:]
        elif not self._read_head(data):
            return
        done = self._tail == LAST_CHUNK if self._expected is None else self._received >= self._expected
        if done:
            self.busy = False
            self._load.complete(now - self._sent_at, self._received)
            if self._last:
                self._transport.close()
            else:
                self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._left:
            return
        if self.busy:
            self._load.fail("connection lost")
        self._left, self.busy = True, False
        if self._load.errors.total() < ERROR_LIMIT:
            self._load.open()

    def _send(self) -> None:
        request = self._load.next_request()
        self.busy = request is not None
        if request is None:
            return
        self._received, self._start, self._tail = 0, b"", b""
        self._sent_at = time.monotonic()
        self._transport.write(request)

    def _count(self, now: float, size: int) -> None:
        load = self._load
        if load.measuring:
            load.received += size
            load.reads += 1
            if self._received:
                load.gaps.append(now - self._read_at)
            else:
                load.first_bytes.append(now - self._sent_at)
        self._received += size
        self._read_at = now

    def _read_head(self, data: bytes) -> bool:
        """Find out how the answer ends; False until its head is complete."""
        self._start += data
        end = self._start.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._start[:end].lower()
        if head[9:12] != b"200":
            self._load.errors[f"status {head[9:12].decode('latin-1')}"] += 1
        at = head.find(b"\r\ncontent-length:")
        self._expected = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        self._last = b"\r\nconnection: close" in head
        self._tail = self._start[-5:]
        return True


async def run(plan: Plan) -> Sample:
    """Carry out one plan."""
    return await Load(plan).run()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    tuples = {name: tuple(given[name]) for name in ("pids", "messages")}
    print(json.dumps(asdict(uvloop.run(run(Plan(**given | tuples))))))
