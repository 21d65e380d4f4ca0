"""What scraping costs the traffic, and what many model names cost in memory: the two cases that look at `/metrics`."""

from __future__ import annotations

import gzip
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.arithmetic import difference, of_rounds, percentile
from tests.bench.cases import PATH, Case
from tests.bench.load import Plan, Sample
from tests.bench.processes import resident_bytes
from tests.bench.rounds import run_load
from tests.bench.targets import Target

GAP = Case("gap", 1, contents=380, pace_seconds=0.01, seconds=3.3)
"""One stream of a chunk each 10 ms, which ends soon after the measured interval."""
GAP_ROUNDS = 2
MODELS = 300
SERIES_WANTED = 5_000

MEMORY_REQUESTS = 100_000
MEMORY_MODELS = 10_000

# What Prometheus sends.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@dataclass(slots=True)
class Scraper:
    """Scrapes as Prometheus does, and keeps what it saw."""

    admin_port: int
    seconds: list[float] = field(default_factory=list)
    """How long each scrape took."""
    body: bytes = b""
    """The last exposition, as sent."""

    def scrape(self) -> None:
        """Scrape once."""
        headers = {"Accept": ACCEPT, "Accept-Encoding": "gzip"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}/metrics", headers=headers)
        started = time.monotonic()
        with urllib.request.urlopen(request, timeout=10) as response:
            self.body = response.read()
        self.seconds.append(time.monotonic() - started)

    @property
    def text(self) -> bytes:
        """The last exposition, unpacked."""
        return gzip.decompress(self.body) if self.body.startswith(b"\x1f\x8b") else self.body

    def count_series(self) -> int:
        """Number of samples in the last exposition."""
        return count_series(self.text)


def count_series(exposition: bytes) -> int:
    """Number of samples in a text exposition."""
    return sum(bool(line) and not line.startswith(b"#") for line in exposition.split(b"\n"))


def sample_value(exposition: bytes, name: str) -> float | None:
    """The value of the sample that has this name and no labels; None when there is none."""
    start = f"{name} ".encode()
    found = next((line for line in exposition.split(b"\n") if line.startswith(start)), None)
    return None if found is None else float(found.split()[1])


def sample_sum(exposition: bytes, name: str) -> float:
    """The sum of the samples that have this name, whatever their labels; 0 when there are none."""
    starts = f"{name} ".encode(), f"{name}{{".encode()
    found = (line[len(name) :] for line in exposition.split(b"\n") if line.startswith(starts))
    return sum(float(rest.rpartition(b"}")[2].split()[0]) for rest in found)


@dataclass(frozen=True, slots=True)
class GapFigures:
    """How much later than its pace a chunk came: seconds, as the client of one stream saw it."""

    p99: float | None
    longest: float | None
    errors: int

    @classmethod
    def of(cls, samples: list[Sample]) -> GapFigures:
        """The median of the rounds' percentiles, and the longest of all."""
        longest = percentile([one.gap_max for one in samples if one.gap_max is not None], 100)
        return cls(
            p99=difference(of_rounds(samples, lambda one: one.gap_p99), GAP.pace_seconds),
            longest=difference(longest, GAP.pace_seconds),
            errors=sum(sum(one.errors.values()) for one in samples),
        )


@dataclass(frozen=True, slots=True)
class GapResult:
    """The paced stream without and with scrapes."""

    direct: GapFigures
    quiet: GapFigures
    scraped: GapFigures
    series: int
    scrapes: int
    scrape_longest: float | None
    """Seconds."""
    scrape_p50: float | None
    resident_bytes: int


def measure_gap(ours: Target, direct: Target, tell: Callable[[str], None]) -> GapResult | None:
    """A paced stream through us, undisturbed and then scraped each second. None where there is no `/metrics`."""
    if ours.admin_port is None:
        return None
    tell("gap")
    for stream in (False, True):
        query = "?n=8&ms=0" if stream else ""
        run_load(Plan(ours.port, PATH + query, stream, 8, 20.0, 0.0, requests=MODELS, models=MODELS))
    scraper = Scraper(ours.admin_port)
    scraper.scrape()
    series = scraper.count_series()
    scraper.seconds.clear()
    samples: dict[str, list[Sample]] = {"direct": [], "quiet": [], "scraped": []}
    for _ in range(GAP_ROUNDS):
        samples["direct"].append(run_load(GAP.plan(direct.port, (), 0)))
        samples["quiet"].append(run_load(GAP.plan(ours.port, ours.pids, 0)))
        samples["scraped"].append(run_load(GAP.plan(ours.port, ours.pids, 0), scraper.scrape))
    return GapResult(
        direct=GapFigures.of(samples["direct"]),
        quiet=GapFigures.of(samples["quiet"]),
        scraped=GapFigures.of(samples["scraped"]),
        series=series,
        scrapes=len(scraper.seconds),
        scrape_longest=percentile(scraper.seconds, 100),
        scrape_p50=percentile(scraper.seconds, 50),
        resident_bytes=resident_bytes(ours.pids),
    )


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """Resident memory of the proxy over a long run with many model names."""

    requests: int
    models: int
    seconds: float
    before_bytes: int
    after_bytes: int
    peak_bytes: int
    series: int | None
    errors: int


def measure_memory(ours: Target, tell: Callable[[str], None]) -> MemoryResult:
    """Send many requests with many model names, and look at the memory once a second."""
    tell("memory")
    seen = [resident_bytes(ours.pids)]
    scraper = Scraper(ours.admin_port) if ours.admin_port is not None else None

    def look() -> None:
        seen.append(resident_bytes(ours.pids))
        if scraper is not None:
            scraper.scrape()

    plan = Plan(ours.port, PATH, False, 32, 600.0, 0.0, requests=MEMORY_REQUESTS, models=MEMORY_MODELS)
    sample = run_load(plan, look)
    look()
    return MemoryResult(
        requests=sample.completed,
        models=MEMORY_MODELS,
        seconds=sample.seconds,
        before_bytes=seen[0],
        after_bytes=seen[-1],
        peak_bytes=max(seen),
        series=scraper.count_series() if scraper is not None else None,
        errors=sum(sample.errors.values()),
    )
