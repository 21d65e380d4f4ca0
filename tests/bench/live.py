"""What the live contracts cost: how long their answers take while streams pass, how even the WebSocket's second is, and
what a thousand readers of each kind do to memory, CPU and streams.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from tests.bench.arithmetic import difference, percentile
from tests.bench.cases import PATH
from tests.bench.load import Plan, Sample
from tests.bench.processes import resident_bytes
from tests.bench.readers import EVENTS, WEBSOCKET, Reading, ReadingPlan
from tests.bench.rounds import run_load
from tests.bench.targets import TIERS, Target, routed_command, start_ours, start_upstreams

ROUTES = (
    "/api/metrics",
    "/api/metrics/queries",
    "/api/metrics/tiers",
    "/api/metrics/resources",
    "/api/metrics/routing",
    "/api/metrics/historical",
    "/api/metrics/context-utilization",
    "/api/orchestrator/status",
    "/api/models/status",
    "/metrics/active-requests",
    "/metrics/running-totals",
)
STREAMS = 32
PACE_SECONDS = 0.02
READERS = 1000
POLL_SECONDS = 20.0
READ_SECONDS = 15.0
PERIOD_SECONDS = 60.0
RAMP_SECONDS = 4.0
"""How long it may take until all readers are connected."""


@dataclass(frozen=True, slots=True)
class RouteFigures:
    """How long one route took, in seconds."""

    path: str
    answers: int
    p50: float | None
    p95: float | None
    longest: float | None
    errors: int


@dataclass(frozen=True, slots=True)
class Crowded:
    """The sidecar with many readers."""

    path: str
    reading: Reading
    quiet_resident_bytes: int
    """With the streams alone."""
    quiet_cpu_share: float
    """CPU seconds per second, likewise."""
    quiet_late: float | None
    """p99 of how much later than its pace a chunk came, in seconds, likewise."""
    resident_bytes: int
    """What the readers add to each of the three."""
    cpu_share: float
    late: float | None


@dataclass(frozen=True, slots=True)
class LiveResult:
    """All of it."""

    routes: list[RouteFigures]
    period: Reading
    crowds: list[Crowded]


def measure_live(home: Path, tell: Callable[[str], None]) -> LiveResult:
    """Three tiers, 32 streams of a chunk every 20 ms. Raises StartError."""
    with start_upstreams(len(TIERS)) as ports:
        fresh = partial(start_ours, home, ports[0], routed_command(ports))
        with fresh() as ours:
            assert ours.admin_port is not None
            run_load(_streams(ours, 2.0))
            tell("live: answers")
            with _streaming(ours, POLL_SECONDS + 2):
                time.sleep(1)
                routes = poll(ours.admin_port, POLL_SECONDS)
            tell("live: period of the WebSocket")
            with _streaming(ours, PERIOD_SECONDS + 2):
                period = Readers(ReadingPlan(ours.admin_port, WEBSOCKET, 1, PERIOD_SECONDS)).result()
        crowds = []
        for path in (WEBSOCKET, EVENTS):
            with fresh() as ours:  # memory that was freed is not given back, and the next crowd would seem to need none
                crowds.append(_crowd(ours, path, tell))
    return LiveResult(routes, period, crowds)


def _crowd(ours: Target, path: str, tell: Callable[[str], None]) -> Crowded:
    assert ours.admin_port is not None
    tell(f"live: streams alone, then with {READERS} readers of {path}")
    quiet, quiet_cpu = _measured(ours, READ_SECONDS)
    before = resident_bytes(ours.pids)
    reading = Readers(ReadingPlan(ours.admin_port, path, READERS, READ_SECONDS + RAMP_SECONDS))
    reading.wait_connected()
    time.sleep(1)
    sample, cpu = _measured(ours, READ_SECONDS)
    resident = resident_bytes(ours.pids)
    return Crowded(
        path=path,
        reading=reading.result(),
        quiet_resident_bytes=before,
        quiet_cpu_share=quiet_cpu,
        quiet_late=difference(quiet.gap_p99, PACE_SECONDS),
        resident_bytes=resident - before,
        cpu_share=cpu - quiet_cpu,
        late=difference(sample.gap_p99, quiet.gap_p99),
    )


class Readers:
    """Readers in a process of their own; `module` says what they read."""

    def __init__(self, plan: ReadingPlan, module: str = "tests.bench.readers") -> None:
        command = [sys.executable, "-m", module, json.dumps(asdict(plan))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_connected(self) -> None:
        """Until all are."""
        assert self._process.stderr is not None
        self._process.stderr.readline()

    def result(self) -> Reading:
        """When they have read."""
        output, _ = self._process.communicate()
        return Reading(**json.loads(output))


def _streams(ours: Target, seconds: float) -> Plan:
    chunks = round(1.5 / PACE_SECONDS)
    target = f"{PATH}?n={chunks}&ms={PACE_SECONDS * 1000:.0f}"
    words = "word " * 20
    messages = (f"Hello, {words}", f"Explain why {words}", f"Prove step by step, compare and analyse {words}")
    return Plan(ours.port, target, True, STREAMS, seconds, 0.5, 0.4, model="auto", messages=messages, pids=ours.pids)


def _measured(ours: Target, seconds: float) -> tuple[Sample, float]:
    sample = run_load(_streams(ours, seconds))
    return sample, sample.cpu_seconds / sample.seconds


@contextmanager
def _streaming(ours: Target, seconds: float) -> Iterator[None]:
    thread = threading.Thread(target=run_load, args=(_streams(ours, seconds),))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def poll(port: int, seconds: float) -> list[RouteFigures]:
    """Ask for every route in turn, on one connection, a hundred times a second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    times: dict[str, list[float]] = {path: [] for path in ROUTES}
    errors = dict.fromkeys(ROUTES, 0)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for path in ROUTES:
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            times[path].append(time.perf_counter() - started)
            errors[path] += answer.status != 200
            time.sleep(0.01)
    connection.close()
    return [
        RouteFigures(path, len(took), percentile(took, 50), percentile(took, 95), max(took, default=None), errors[path])
        for path, took in times.items()
    ]
