"""How much of the prompts of conversations comes from the engines' prompt caches, over two engines of one tier.

`measure` and `test_routing` run it. What was cached is what the answers themselves say.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import WORDS
from exporter.demo.traffic import client
from tests.bench.table import align
from tests.end_to_end.sidecar import Sidecar

CONTEXT_SIZE = 4096
"""Tokens per slot: more than any of these conversations grows to."""
THINK_SECONDS = 0.05
"""Mean time of a user between an answer and the next turn."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompt tokens of all answers of a run, as their `usage` and `timings` say."""

    answers: int
    total: int
    cached: int
    evaluated: int
    """`timings.prompt_n`: what the engines had to work through."""

    @property
    def share(self) -> float:
        """Of the prompt tokens, those that came from a cache."""
        return self.cached / self.total


def words(rng: random.Random, least: int, most: int) -> str:
    """So many words, each of which is one token."""
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most)))


def turns(seed: str, count: int) -> Iterator[list[dict[str, str]]]:
    """The messages of each turn of one conversation: equal arguments give equal ones."""
    rng = random.Random(seed)
    messages = [{"role": "system", "content": words(rng, 150, 200)}]
    for _ in range(count):
        messages.append({"role": "user", "content": words(rng, 5, 25)})
        yield list(messages)
        # Not what the model said, so that each run asks for the same.
        messages.append({"role": "assistant", "content": words(rng, 10, 30)})


async def converse(url: str, seed: str, conversations: int, count: int, *, reuse: bool = True) -> Prompts:
    """Hold so many conversations at once, one user each, with random pauses. Raises httpx.HTTPError."""
    usages: list[tuple[int, int, int]] = []

    async def hold(http: httpx.AsyncClient, name: str) -> None:
        rng = random.Random(f"pauses of {name}")
        for messages in turns(name, count):
            await asyncio.sleep(rng.expovariate(1 / THINK_SECONDS))
            body = {"model": "auto", "messages": messages, "max_tokens": rng.randint(16, 48), "seed": 1}
            answer = (await http.post("/v1/chat/completions", json=body)).raise_for_status().json()
            usage, timings = answer["usage"], answer["timings"]
            assert usage["prompt_tokens"] == timings["cache_n"] + timings["prompt_n"]
            usages.append((usage["prompt_tokens"], timings["cache_n"], timings["prompt_n"]))

    async with client(url, reuse=reuse) as http:
        await asyncio.gather(*(hold(http, f"{seed}/{number}") for number in range(conversations)))
    return Prompts(len(usages), *map(sum, zip(*usages, strict=True)))


@contextmanager
def pair(model: Path, slots: int) -> Iterator[list[Engine]]:
    """Two engines that have seen nothing yet."""
    with ExitStack() as stack:
        options = EngineOptions(model=model, alias="tiny-q4", parallel=slots, context_size=CONTEXT_SIZE)
        yield [stack.enter_context(Engine(options)) for _ in range(2)]


def converse_over_two(
    engines: Sequence[Engine], seed: str, conversations: int, count: int, *, affinity: bool
) -> Prompts:
    """Through a sidecar that has both as one tier."""
    upstreams = [part for engine in engines for part in ("--upstream", f"Q4={engine.url}")]
    environment = {"LLAMA_EXPORTER_ROUTING__AFFINITY": "true" if affinity else "false"}
    with Sidecar(*upstreams, environment=environment) as sidecar:
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_upstream_up") == len(engines))
        prompts = asyncio.run(converse(sidecar.proxy, seed, conversations, count))
        metrics = sidecar.metrics()
        assert metrics.sum("llm_routing_decisions_total", tier="Q4", fallback="false") == prompts.answers
    return prompts


def measure_affinity(model: Path, conversations: int, count: int) -> None:
    """Each way with engines that have seen nothing yet; the table goes to standard output."""
    slots = conversations // 2
    found: dict[str, Prompts] = {}
    for affinity in (True, False):
        with pair(model, slots) as engines:
            name = f"2 engines of {slots} slots, routing.affinity = {str(affinity).lower()}"
            found[name] = converse_over_two(engines, "measure", conversations, count, affinity=affinity)
    options = EngineOptions(model=model, parallel=conversations, context_size=CONTEXT_SIZE)
    with Engine(options) as engine:
        name = f"1 engine of {conversations} slots, without the sidecar"
        found[name] = asyncio.run(converse(engine.url, "measure", conversations, count, reuse=False))
    print(f"{conversations} conversations at once, {count} turns each")
    print(render(found))


def render(found: dict[str, Prompts]) -> str:
    """A line for each way."""
    lines = [["", "answers", "prompt tokens", "cached", "share", "evaluated"]]
    lines += [
        [name, str(one.answers), f"{one.total:,}", f"{one.cached:,}", f"{one.share:.1%}", f"{one.evaluated:,}"]
        for name, one in found.items()
    ]
    return "\n".join(align(lines, left=1))
