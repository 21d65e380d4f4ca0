"""Thousands of requests with pauses, in which the engine retires connections: does any client notice?

`measure` runs it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import httpx

from exporter.demo.engine import Engine
from tests.end_to_end.sidecar import Sidecar

CHAT = b'{"messages":[{"role":"user","content":"hello"}],"max_tokens":2}'


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
