"""Plays planned requests against a proxy (or a llama-server) as clients would, and counts what the clients saw.

`demo.run` runs it without end; the end-to-end tests play a plan of fixed length. Nothing here is shared with `observe`:
what a client sees is found out independently of what the sidecar says.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from itertools import islice
from typing import Any

import httpx

from exporter.demo.kinds import COUNTABLE_KINDS, DIRECT_KINDS, LEAVING_KINDS, STEADY_KINDS, Kind
from exporter.demo.plan import MODEL, Exchange, exchanges, plan
from exporter.demo.views import ClientView, Result, TrafficCounts

__all__ = [
    "COUNTABLE_KINDS",
    "LEAVING_KINDS",
    "STEADY_KINDS",
    "ClientView",
    "Exchange",
    "Kind",
    "Result",
    "TrafficCounts",
    "client",
    "exchanges",
    "plan",
    "play",
    "play_all",
    "run_traffic",
]

ANSWER_LIMIT_SECONDS = 120.0
KEEPALIVE_SECONDS = 2.0
"""Shorter than any server's (5 s for uvicorn and llama-server), lest a connection be reused just as it is closed."""


def client(base_url: str, *, reuse: bool = True) -> httpx.AsyncClient:
    """An HTTP client as `play` needs it: without a limit on connections.

    `reuse` is for proxies. Directly at a llama-server it must be off: that closes the connection after each streamed
    answer without having said so, and now and then httpx sends the next request into the closing connection.
    """
    limits = httpx.Limits(max_keepalive_connections=None if reuse else 0, keepalive_expiry=KEEPALIVE_SECONDS)
    return httpx.AsyncClient(base_url=base_url, limits=limits, timeout=ANSWER_LIMIT_SECONDS, trust_env=False)


async def run_traffic(
    base_url: str,
    *,
    seed: int,
    users: int,
    pace: float,
    kinds: Collection[Kind] = DIRECT_KINDS,
    model: str = MODEL,
    count: int | None = None,
    counts: TrafficCounts | None = None,
    reuse: bool = True,
) -> TrafficCounts:
    """Play `count` requests, or requests without end, as `users` concurrent clients; see `plan.exchanges`.

    `pace` is the mean think time of a user in seconds, exponentially distributed; 0 is as fast as it goes. `counts`,
    when given, is counted into, so that the caller has it also when the traffic is cancelled. Failures are counted, not
    raised. For `reuse` see `client`.
    """
    counts = TrafficCounts() if counts is None else counts
    requests = islice(exchanges(seed, kinds, model=model), count)
    async with client(base_url, reuse=reuse) as http:
        await asyncio.gather(*(_use(http, requests, random.Random(f"{seed}/{n}"), pace, counts) for n in range(users)))
    return counts


async def play_all(base_url: str, requests: Sequence[Exchange], *, users: int, reuse: bool = True) -> list[ClientView]:
    """Play a plan with so many concurrent clients, without pauses; the views come in the order of the plan.

    For `reuse` see `client`.
    """
    views: dict[int, ClientView] = {}
    queue = iter(enumerate(requests))

    async def use(http: httpx.AsyncClient) -> None:
        for index, exchange in queue:
            views[index] = await play(http, exchange)

    async with client(base_url, reuse=reuse) as http:
        await asyncio.gather(*(use(http) for _ in range(users)))
    return [views[index] for index in range(len(requests))]


async def _use(
    http: httpx.AsyncClient, requests: Iterator[Exchange], rng: random.Random, pace: float, counts: TrafficCounts
) -> None:
    """One user: thinks, asks, thinks, until there is nothing left to ask."""
    while True:
        if pace > 0:
            await asyncio.sleep(rng.expovariate(1 / pace))
        exchange = next(requests, None)
        if exchange is None:
            return
        counts.add(exchange, await play(http, exchange))


async def play(http: httpx.AsyncClient, exchange: Exchange) -> ClientView:
    """Send one request and see what comes. Never raises for what the server or the network does."""
    watch = _Watch(exchange)
    try:
        async with asyncio.timeout(None) as patience:
            await watch.look(http, patience)
    except TimeoutError:
        return watch.view(Result.LEFT)
    except httpx.HTTPError as error:
        return watch.view(Result.BROKEN, error=f"{type(error).__name__}: {error}")
    return watch.view(watch.result)


class _Watch:
    """One client's look at one answer."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.result = Result.COMPLETED
        self._started = time.perf_counter()
        self._status: int | None = None
        self._ttft: float | None = None
        self._chunks = 0

    async def look(self, http: httpx.AsyncClient, patience: asyncio.Timeout) -> None:
        asked = self.exchange

        async def note(event: str, _: dict[str, Any]) -> None:
            """A client that leaves early has sent its request first: one that nobody got would be no request."""
            if event == "http11.send_request_body.complete" and asked.leave_after_seconds is not None:
                patience.reschedule(asyncio.get_running_loop().time() + asked.leave_after_seconds)

        headers = {"content-type": "application/json"} if asked.body is not None else {}
        if asked.origin is not None:
            headers["origin"] = asked.origin
        async with http.stream(
            asked.method, asked.path, content=asked.body, headers=headers, extensions={"trace": note}
        ) as answer:
            self._status = answer.status_code
            if answer.status_code >= 400:
                self.result = Result.REFUSED
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                await self._look_at_stream(answer)
            else:
                await answer.aread()

    async def _look_at_stream(self, answer: httpx.Response) -> None:
        async for event in _events(answer):
            if "error" in event:
                self.result = Result.STREAM_ERROR
            if not has_content(event):
                continue
            if self._ttft is None:
                self._ttft = time.perf_counter() - self._started
            self._chunks += 1
            if self._chunks == self.exchange.leave_after_chunks:
                self.result = Result.LEFT
                return  # leaving `http.stream` with the answer unread closes the connection

    def view(self, result: Result, *, error: str | None = None) -> ClientView:
        return ClientView(
            kind=self.exchange.kind,
            result=result,
            status=self._status,
            duration_seconds=time.perf_counter() - self._started,
            ttft_seconds=self._ttft,
            content_chunks=self._chunks,
            error=error,
        )


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of an event stream. Lines end at LF only: httpx's `aiter_lines` would cut at U+2028 as well."""
    rest = b""
    async for chunk in answer.aiter_raw():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                yield json.loads(line.removeprefix(b"data: ").decode(errors="replace"))


def has_content(event: dict[str, Any]) -> bool:
    """Whether a streamed event carries generated text, in any of the dialects that llama-server speaks."""
    choices = event.get("choices")
    if choices is not None:
        return any((choice.get("delta") or {}).get("content") or choice.get("text") for choice in choices)
    kind = event.get("type")
    if kind == "content_block_delta":
        return bool(event["delta"].get("text"))
    if kind == "response.output_text.delta":
        return bool(event["delta"])
    return bool(event.get("content"))  # native completion
