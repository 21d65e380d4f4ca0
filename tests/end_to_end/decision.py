"""What choosing costs: the time of `Fleet.plan` over three upstreams, and of reading the body before it.

`measure` runs it, in this process and without any network: timed is what the traffic path does for each request.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx

from exporter.demo import questions
from exporter.demo.model import WORDS
from exporter.observe.observation import Look, Observation
from exporter.routing.backend import Backend
from exporter.routing.fleet import Fleet
from exporter.routing.upstream import Upstream
from tests.bench.arithmetic import MICRO, percentile
from tests.bench.table import align

CONTEXTS = {"Q2": 8_192, "Q3": 32_768, "Q4": 131_072}
HEADERS = [
    (b"host", b"127.0.0.1:8090"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"OpenAI/Python 1.99.9"),
    (b"x-stainless-lang", b"python"),
    (b"authorization", b"Bearer none"),
    (b"content-type", b"application/json"),
]
WARM_UP = 0.1
"""Of the requests, the share that is not timed, for they come first."""
PARAGRAPHS = 500
PARAGRAPH_BYTES = 1_000
ASKED = (*questions.SIMPLE, *questions.MODERATE, *questions.COMPLEX)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One size of prompts."""

    name: str
    size: int
    """Bytes of the user's message; 0: some 20 words."""
    count: int
    """Distinct ones."""
    limit_us: float | None
    """The most that the decision's p99 may be; None where no target was set."""


PROMPTS = (
    Prompt("20 words", 0, 20_000, None),
    Prompt("4 kB", 4_000, 10_000, 100.0),
    Prompt("1 MB", 1_000_000, 500, 1_000.0),
)


@dataclass(slots=True)
class Times:
    """Seconds, one for each request."""

    decision: list[float] = field(default_factory=list)
    """`Fleet.plan`."""
    decision_cpu: list[float] = field(default_factory=list)
    """The CPU time of the same: without the time in which others had the processor."""
    all: list[float] = field(default_factory=list)
    """From the first byte of the body to the plan: reading the JSON, and the decision."""


def fleet() -> Fleet:
    """Three upstreams, which have been seen."""
    upstreams = [
        Upstream(tier, httpx.URL(f"http://127.0.0.1:{8082 + number}"), tier=tier)
        for number, tier in enumerate(CONTEXTS)
    ]
    made = Fleet(upstreams)
    for upstream in upstreams:
        backend = Backend(
            id=upstream.name,
            upstream=upstream,
            tier=upstream.name,
            names=frozenset((f"model-{upstream.name}",)),
            slots=4,
            context_size=CONTEXTS[upstream.name],
            vision=False,
            audio=False,
            tools=True,
        )
        made.described(upstream.name, (backend,), router=False)
    return made


def bodies(prompt: Prompt, rng: random.Random) -> Iterator[bytes]:
    """Chats that leave the model to the sidecar, no two alike: a question, and what it is about."""
    paragraphs = [paragraph(rng, PARAGRAPH_BYTES) for _ in range(PARAGRAPHS)]
    for _ in range(prompt.count):
        asked = rng.choice(ASKED)
        if prompt.size:
            parts = rng.choices(paragraphs, k=prompt.size // PARAGRAPH_BYTES + 1)
            text = "\n\n".join([asked, *parts])[: prompt.size - len(asked) - 2] + "\n\n" + asked
        else:
            missing = max(0, 20 - len(asked.split()))
            text = f"{' '.join(rng.choices(WORDS, k=missing))} {asked}"
        messages = [{"role": "system", "content": paragraph(rng, 200)}, {"role": "user", "content": text}]
        yield json.dumps({"model": "auto", "messages": messages, "max_tokens": 256, "stream": True}).encode()


def paragraph(rng: random.Random, size: int) -> str:
    """Sentences of words, so many characters."""
    sentences = (" ".join(rng.choices(WORDS, k=rng.randint(5, 20))).capitalize() + "." for _ in range(size // 15 + 1))
    return " ".join(sentences)[:size]


def time_decisions(prompt: Prompt, seed: int = 3) -> Times:
    """Time them all, one after the other."""
    times = Times()
    made = fleet()
    warm_up = int(prompt.count * WARM_UP)
    for number, body in enumerate(bodies(prompt, random.Random(seed))):
        decision, cpu, both = time_one(made, body)
        if number >= warm_up:
            times.decision.append(decision)
            times.decision_cpu.append(cpu)
            times.all.append(both)
    return times


def time_one(made: Fleet, body: bytes) -> tuple[float, float, float]:
    """Seconds of the decision, of CPU in it, and of the decision with the reading of the body before it."""
    observation = Observation(
        now=time.monotonic(),
        wall=time.time(),
        request_id="0" * 16,
        method="POST",
        path="/v1/chat/completions",
        query=b"",
        headers=HEADERS,
        look=Look(),
    )
    begun = time.perf_counter()
    observation.feed_request(body)
    observation.end_request()
    cpu, read = time.thread_time(), time.perf_counter()
    plan = made.plan(observation, HEADERS, seen=True)
    done = time.perf_counter()
    cpu = time.thread_time() - cpu
    assert plan.decision is not None
    assert observation.request_json is not None
    use = made.begin(plan, plan.candidates[0], time.monotonic())
    use.answered()
    use.end()
    return done - read, cpu, done - begun


def measure_decision() -> bool:
    """Print the table; whether every target is met."""
    lines = [
        [
            "",
            "distinct",
            "p50 us",
            "p99 us",
            "max us",
            "p99 CPU us",
            "target",
            "",
            "with the body's JSON: p50",
            "p99",
            "max",
        ]
    ]
    met = True
    for prompt in PROMPTS:
        times = time_decisions(prompt)
        p99 = percentile(times.decision, 99) or 0.0
        verdict = "" if prompt.limit_us is None else "met" if p99 * MICRO <= prompt.limit_us else "NOT MET"
        met = met and verdict != "NOT MET"
        lines.append(
            [
                prompt.name,
                f"{len(times.decision):,}",
                *(microseconds(percentile(times.decision, q)) for q in (50, 99, 100)),
                microseconds(percentile(times.decision_cpu, 99)),
                "" if prompt.limit_us is None else f"p99 <= {prompt.limit_us:,.0f}",
                verdict,
                *(microseconds(percentile(times.all, q)) for q in (50, 99, 100)),
            ]
        )
    print("time to decide among three upstreams")
    print("\n".join(align(lines, left=1)))
    return met


def microseconds(seconds: float | None) -> str:
    """Seconds as microseconds."""
    return "-" if seconds is None else f"{seconds * MICRO:,.1f}"
