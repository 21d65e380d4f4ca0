"""What is measured: the cases of the benchmark, and the load that each of them means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.bench.load import Plan
from tests.bench.upstream import FRAMING_CHUNKS

PATH = "/v1/chat/completions"
WARMUP_SECONDS = 0.4

REQUEST_LIMIT = 18.0
"""CPU time per JSON request: at most so many times that of nginx."""
CHUNK_LIMIT = 2.5
"""CPU time per streamed chunk: at most so many times that of nginx."""


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of traffic at one number of connections."""

    name: str
    connections: int
    contents: int = 0
    """Content chunks of a stream; 0 for a JSON answer."""
    pace_seconds: float = 0.0
    """Time between two chunks; 0: one per turn of the upstream's event loop, faster than a proxy can follow."""
    prompt_bytes: int = 8
    base: str | None = None
    """The JSON case whose CPU time per request is taken off to get at the cost of the chunks."""
    limit: float | None = None
    """The most that our CPU time may be, in multiples of that of nginx; None where no target was set."""
    rounds: int | None = None
    """None: as many as the command line says."""
    seconds: float | None = None
    """None: as the command line says."""
    ramp_seconds: float = 0.0
    """The connections are opened evenly over this time, before the warm-up."""

    @property
    def chunks(self) -> int:
        """All chunks of one answer; 0 for a JSON answer."""
        return self.contents + FRAMING_CHUNKS if self.contents else 0

    @property
    def steady(self) -> bool:
        """All streams begin before the measured interval and end after it, and every chunk is read by itself."""
        return self.pace_seconds >= 1

    def plan(self, port: int, pids: tuple[int, ...], seconds: float) -> Plan:
        """The load on one target."""
        query = f"?n={self.contents}&ms={self.pace_seconds * 1000:g}" if self.contents else ""
        return Plan(
            port=port,
            target=PATH + query,
            stream=bool(self.contents),
            connections=self.connections,
            seconds=self.seconds or seconds,
            warmup_seconds=self.ramp_seconds + WARMUP_SECONDS,
            ramp_seconds=self.ramp_seconds,
            prompt_bytes=self.prompt_bytes,
            pids=pids,
        )


CASES = (
    Case("no-traffic", 0, rounds=1, seconds=2.0),
    Case("json-1", 1, limit=REQUEST_LIMIT),
    Case("json-32", 32, limit=REQUEST_LIMIT),
    Case("json-256", 256, limit=REQUEST_LIMIT),
    Case("stream-1", 1, 64, 0.002, base="json-1", limit=CHUNK_LIMIT),
    Case("stream-32", 32, 64, 0.010, base="json-32", limit=CHUNK_LIMIT, ramp_seconds=0.5),
    Case("stream-256", 256, 64, 0.020, base="json-256", limit=CHUNK_LIMIT, ramp_seconds=0.5),
    Case("burst-32", 32, 64, base="json-32"),
    Case("upload-8", 8, prompt_bytes=262_144, rounds=1),
    Case("idle-1000", 1000, 3, 1.0, limit=CHUNK_LIMIT, rounds=2, seconds=3.0, ramp_seconds=1.0),
)


def select(only: Iterable[str]) -> list[Case]:
    """The cases whose names begin with one of these words (all without any), and the JSON cases that they build on."""
    words = tuple(only) or ("",)
    chosen = {case.name for case in CASES if case.name.startswith(words)}
    chosen |= {case.base for case in CASES if case.name in chosen and case.base}
    return [case for case in CASES if case.name in chosen]
