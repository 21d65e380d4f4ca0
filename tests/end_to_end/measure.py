"""Measurements against the real engine, printed as a table: `python -m tests.end_to_end.measure WHAT`.

accuracy: are our tokens the engine's own, is every request one record.
ttft: how far is our time to first token from what a client saw that does nothing else.
endurance: thousands of requests with pauses, in which the engine retires connections: does any client notice?
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import httpx

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import write_model
from exporter.demo.traffic import STEADY_KINDS, Exchange, Kind, Result, plan, play_all
from tests.bench.arithmetic import percentile
from tests.end_to_end.sidecar import Metrics, Sidecar

CHAT = b'{"messages":[{"role":"user","content":"hello"}],"max_tokens":2}'


def engine_tokens(engine: Engine) -> Counter[str]:
    metrics = Metrics(httpx.get(f"{engine.url}/metrics").text)
    names = ("prompt_tokens_total", "prompt_tokens_cached_total", "tokens_predicted_total")
    return Counter({name: int(metrics.sum(f"llamacpp:{name}")) for name in names})


def tagged(exchanges: list[Exchange]) -> list[Exchange]:
    """Each with an origin of its own, by which its record is found again."""
    return [replace(exchange, origin=f"http://request-{number}") for number, exchange in enumerate(exchanges)]


def measure_accuracy(engine: Engine, requests: int, users: int) -> None:
    steady = tagged(plan(11, requests, STEADY_KINDS))
    mixed = tagged(plan(12, requests, frozenset(Kind)))
    with Sidecar("--upstream", engine.url, "--log-level", "debug") as sidecar:
        before = engine_tokens(engine)
        views = asyncio.run(play_all(sidecar.proxy, steady, users=users))
        grown = engine_tokens(engine) - before
        records = wait_for_records(sidecar, len(steady))
        print_tokens(sidecar.metrics(), grown, records)
        assert all(view.result is not Result.BROKEN for view in views)
    with Sidecar("--upstream", engine.url, "--log-level", "debug") as sidecar:
        views = asyncio.run(play_all(sidecar.proxy, mixed, users=users))
        records = wait_for_records(sidecar, len(mixed))
        print(f"\nmixed traffic, clients that leave included: {len(mixed)} requests, {len(records)} records")
        print("  as clients saw them:", dict(Counter(str(view.result) for view in views)))
        print("  as recorded:        ", dict(Counter(str(record["outcome"]) for record in records.values())))


def wait_for_records(sidecar: Sidecar, count: int) -> dict[str, dict[str, object]]:
    """Access-log entries by origin; raises when one is missing or comes twice."""
    sidecar.wait_until(lambda: sum(e["message"] == "request" for e in sidecar.log) >= count)
    entries = [entry for entry in sidecar.log if entry["message"] == "request"]
    records = {str(entry["origin"]): entry for entry in entries}
    assert len(entries) == len(records) == count, (len(entries), len(records), count)
    return records


def print_tokens(metrics: Metrics, grown: Counter[str], records: dict[str, dict[str, object]]) -> None:
    ours = {
        kind: int(metrics.sum("gen_ai_client_token_usage_sum", gen_ai_token_type=kind)) for kind in ("input", "output")
    }
    unknown = sum(
        entry["path"] == "/v1/messages" and entry["status"] == 200 and entry["input_tokens"] is None
        for entry in records.values()
    )
    prompt = grown["prompt_tokens_total"] + grown["prompt_tokens_cached_total"]
    print(f"steady traffic: {len(records)} requests, {len(records)} records")
    print(f"  input tokens:  ours {ours['input']}, engine {prompt} ({grown['prompt_tokens_cached_total']} cached)")
    print(f"  output tokens: ours {ours['output']}, engine {grown['tokens_predicted_total']}")
    print(f"  messages streams without message_start, whose input cannot be known: {unknown}")


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


async def endure(sidecar: Sidecar, requests: int, connections: int) -> Counter[str]:
    """Many requests over kept-alive connections, with pauses around the engine's idle limit."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=60)
    results: Counter[str] = Counter()
    left = iter(range(requests))
    rng = random.Random(5)
    pause_at = {requests * part // 6 for part in range(1, 6)}
    clear = asyncio.Event()
    clear.set()

    async def pause() -> None:
        clear.clear()
        await asyncio.sleep(rng.uniform(4, 6))
        clear.set()

    async def use(http: httpx.AsyncClient) -> None:
        for number in left:
            if number in pause_at:
                await pause()
            await clear.wait()
            # One in fifty is refused by the engine, which then closes the connection.
            body = b"{" if number % 50 == 0 else CHAT
            try:
                answer = await http.post("/v1/chat/completions", content=body)
                results[str(answer.status_code)] += 1
            except httpx.TransportError as exc:
                results[type(exc).__name__] += 1

    async with httpx.AsyncClient(base_url=sidecar.proxy, limits=limits, timeout=60, trust_env=False) as http:
        await asyncio.gather(*(use(http) for _ in range(connections)))
    return results


def measure_endurance(engine: Engine, requests: int, connections: int) -> None:
    with Sidecar("--upstream", engine.url) as sidecar:
        started = time.monotonic()
        results = asyncio.run(endure(sidecar, requests, connections))
        metrics = sidecar.metrics()
        print(f"endurance: {requests} requests at {connections} connections in {time.monotonic() - started:.0f} s")
        print("  as clients saw them:", dict(results))
        attempts = {
            sample.labels["result"]: int(sample.value)
            for sample in metrics.samples
            if sample.name == "llm_upstream_attempts_total"
        }
        print("  attempts:", attempts, " records:", int(metrics.sum("llm_requests_total")))
        expected = {"200": requests - (requests + 49) // 50, "400": (requests + 49) // 50}
        print("  failures that the engine did not answer itself:", sum((results - Counter(expected)).values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "ttft", "endurance"])
    parser.add_argument("--requests", type=int)
    parser.add_argument("--connections", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "tiny.gguf"
        write_model(model)
        with Engine(EngineOptions(model=model)) as engine:
            if arguments.what == "accuracy":
                measure_accuracy(engine, arguments.requests or 320, arguments.connections or 4)
            elif arguments.what == "ttft":
                measure_ttft(engine, arguments.requests or 300, arguments.connections or 4)
            else:
                measure_endurance(engine, arguments.requests or 10_000, arguments.connections or 32)


if __name__ == "__main__":
    main()
