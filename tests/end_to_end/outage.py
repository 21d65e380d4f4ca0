"""Three real engines as tiers; the one in the middle is killed and started again while clients ask.

`measure` and `test_routing` run it; `ledger` holds what clients, records, metrics and engines say of it against each
other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from exporter.demo.engine import EngineOptions
from exporter.demo.kinds import ROUTED_KINDS, Kind
from exporter.demo.plan import Exchange, plan
from exporter.demo.traffic import client
from exporter.record import Complexity
from exporter.tasks import cancel, spawn
from tests.end_to_end.logging_engine import LoggingEngine
from tests.end_to_end.records import tagged
from tests.end_to_end.sidecar import Sidecar

TIERS = ("Q2", "Q3", "Q4")
VICTIM = "Q3"
COMPLEXITY = {
    Kind.ROUTED_SIMPLE: Complexity.SIMPLE,
    Kind.ROUTED_MODERATE: Complexity.MODERATE,
    Kind.ROUTED_COMPLEX: Complexity.COMPLEX,
}
"""How complex the planned questions are; the demo's own tests hold them against the scorer."""
WANTED = dict(zip(COMPLEXITY.values(), TIERS, strict=True))
RECOVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one answer."""

    asked: Exchange
    status: int | None
    """None: nothing of an answer came."""
    model: str | None
    """As the engine named itself in the answer, which the sidecar passes on unchanged."""
    tier: str | None
    """`X-Routing-Tier`."""
    complete: bool
    error: str | None = None

    @property
    def complexity(self) -> Complexity:
        """How complex the question was meant to be."""
        return COMPLEXITY[self.asked.kind]

    @property
    def wanted(self) -> str:
        """The tier that the question belongs to."""
        return WANTED[self.complexity]

    @property
    def failed(self) -> bool:
        """The client got nothing of an answer."""
        return self.status != 200

    @property
    def broken(self) -> bool:
        """The answer had begun and was not brought to its end."""
        return self.status == 200 and not self.complete

    @property
    def answered_by(self) -> str | None:
        """The tier whose engine answered, or began to: told by its name, else (nothing came but the head) by the field
        that the sidecar adds."""
        if self.failed:
            return None
        return self.model.removeprefix("tiny-").upper() if self.model else self.tier


class Engines:
    """One engine per tier, each with all the lives that it has had."""

    def __init__(self, models: Mapping[str, Path]) -> None:
        """`models` by tier."""
        self._stack = ExitStack()
        self.lives = {
            tier: [LoggingEngine(EngineOptions(model=model, alias=f"tiny-{tier.lower()}"))]
            for tier, model in models.items()
        }

    def __enter__(self) -> Engines:
        for engine in chain.from_iterable(self.lives.values()):
            self._stack.enter_context(engine)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def upstreams(self) -> list[str]:
        """The command line's options."""
        return [part for tier, lives in self.lives.items() for part in ("--upstream", f"{tier}={lives[0].url}")]

    def kill(self, tier: str) -> None:
        """SIGKILL."""
        self.lives[tier][-1].kill()

    def bring_back(self, tier: str) -> None:
        """Start it again on the port that it had."""
        gone = self.lives[tier][-1]
        back = LoggingEngine(replace(gone.options, port=urlsplit(gone.url).port or 0))
        self._stack.enter_context(back)
        self.lives[tier].append(back)

    def taken_up(self, tier: str) -> int:
        """Requests that slots have begun to work on, as the engines logged it."""
        return sum(engine.taken_up() for engine in self.lives[tier])

    def through(self, tier: str) -> int:
        """Requests that slots were done with."""
        return sum(engine.through() for engine in self.lives[tier])


@contextmanager
def started(models: Mapping[str, Path], **environment: str) -> Iterator[tuple[Engines, Sidecar]]:
    """Engines and a sidecar in front of them, which has seen all of them well."""
    settings = {"LLAMA_EXPORTER_ROUTING__RESPONSE_HEADERS": "true", **environment}
    with (
        Engines(models) as engines,
        Sidecar(*engines.upstreams, "--log-level", "debug", environment=settings) as sidecar,
    ):
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_upstream_up") == len(TIERS))
        yield engines, sidecar


@dataclass(slots=True)
class Run:
    """The course of an outage run."""

    engines: Engines
    outages: Sequence[tuple[int, int]]
    """The victim is killed when so many requests have ended, and comes back after so many."""
    seen: list[Seen] = field(default_factory=list)

    async def play(self, url: str, requests: int, connections: int, seed: int = 5) -> None:
        """Ask all planned questions; then, until the victim answers again, ones that belong to it."""
        questions = tagged(plan(seed, requests, ROUTED_KINDS))
        async with client(url) as http:
            trouble = spawn(self._trouble(), name="outages")
            queue = iter(questions)
            try:
                await asyncio.gather(*(self._use(http, queue) for _ in range(connections)))
                await trouble
            finally:
                await cancel(trouble)
            await self._await_victim(http, questions)

    async def _use(self, http: httpx.AsyncClient, queue: Iterator[Exchange]) -> None:
        for asked in queue:
            self.seen.append(await ask(http, asked))

    async def _trouble(self) -> None:
        for kill_at, back_at in self.outages:
            await self._reached(kill_at)
            await asyncio.to_thread(self.engines.kill, VICTIM)
            await self._reached(back_at)
            await asyncio.to_thread(self.engines.bring_back, VICTIM)

    async def _reached(self, requests: int) -> None:
        while len(self.seen) < requests:
            await asyncio.sleep(0.005)

    async def _await_victim(self, http: httpx.AsyncClient, questions: Sequence[Exchange]) -> None:
        """What is asked here counts like everything else."""
        suitable = next(asked for asked in questions if WANTED[COMPLEXITY[asked.kind]] == VICTIM)
        async with asyncio.timeout(RECOVERY_SECONDS):
            for number in count(len(questions)):
                seen = await ask(http, replace(suitable, origin=f"http://request-{number}"))
                self.seen.append(seen)
                if seen.answered_by == VICTIM and seen.complete:
                    return
                await asyncio.sleep(0.1)


async def ask(http: httpx.AsyncClient, asked: Exchange) -> Seen:
    """Ask one question and see what comes. Raises nothing for what the network does."""
    status: int | None = None
    tier, body = None, b""
    error = None
    headers = {"content-type": "application/json", "origin": asked.origin or ""}
    try:
        async with http.stream(asked.method, asked.path, content=asked.body, headers=headers) as answer:
            status, tier = answer.status_code, answer.headers.get("x-routing-tier")
            async for chunk in answer.aiter_raw():
                body += chunk
    except httpx.HTTPError as exc:
        error = f"{type(exc).__name__}: {exc}"
    events = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    ended = events[-1:] == [b"[DONE]"] if asked.stream else error is None
    return Seen(asked, status, model_of(events[0] if events else body), tier, error is None and ended, error)


def model_of(document: bytes) -> str | None:
    """`model` of an answer, or of an event of one; None when it cannot be read."""
    try:
        found = json.loads(document.decode(errors="replace")).get("model")
    except ValueError:
        return None
    return str(found) if found is not None else None
