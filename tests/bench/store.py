"""What history costs: the same load on llama-exporter without a store, with a SQLite file, and with a PostgreSQL, in
turn; the memory that each takes, and the time until it answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from tests.bench.arithmetic import Middle, median_interval, middle, of_rounds, per_request_us
from tests.bench.cases import PATH, WARMUP_SECONDS
from tests.bench.load import Plan, Sample
from tests.bench.processes import free_port, resident_bytes
from tests.bench.rounds import run_load
from tests.bench.routing import folder
from tests.bench.targets import NO_STORE, PROXY_COMMAND, Target, start_ours, start_upstreams
from tests.databases import PostgreSQL

NONE, SQLITE, POSTGRESQL = "none", "sqlite", "postgresql"
CONNECTIONS = {"json-1": 1, "json-32": 32}
"""The cases: number of connections by name."""
AS_OPERATED = {"listen_addresses": "127.0.0.1", "shared_buffers": "128MB"}
ROUNDS = 5
"""Times as many as in the other cases."""
STARTS = 5
SETTLED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One case on one store."""

    case: str
    store: str
    costs: tuple[float, ...]
    """CPU microseconds per request in each round."""
    differences: tuple[float, ...]
    """Of each round: CPU microseconds more than without a store."""
    requests_per_second: float | None
    p50: float | None
    p99: float | None
    """Seconds, medians of the rounds."""
    errors: int

    @property
    def request_us(self) -> Middle | None:
        """CPU microseconds per request."""
        return middle(self.costs)

    @property
    def difference(self) -> float | None:
        """The median of the rounds' differences: what slows a round down hits all."""
        return median(self.differences) if self.differences else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it lies in 19 of 20 cases."""
        return median_interval(self.differences)


@dataclass(frozen=True, slots=True)
class Start:
    """A sidecar that has just started, on one store that has its tables. Medians of several starts."""

    store: str
    seconds: float
    """Until `/-/healthy` is answered."""
    resident_bytes: int
    """Some seconds later, without traffic."""


@dataclass(frozen=True, slots=True)
class StoreResult:
    """All of it."""

    costs: list[Cost]
    starts: list[Start]


@dataclass(slots=True)
class Rounds:
    """One target's samples of a case."""

    target: Target
    samples: list[Sample] = field(default_factory=list)


def commands(stores: Mapping[str, str]) -> dict[str, str]:
    """The sidecar's command by name of the store."""
    return {name: PROXY_COMMAND.replace(NO_STORE, f"--store {url}") for name, url in stores.items()}


def measure_store(
    home: Path, stores: Mapping[str, str], rounds: int, seconds: float, tell: Callable[[str], None]
) -> StoreResult:
    """`stores` are URLs by name, empty ones; the first is none. Raises StartError."""
    with ExitStack() as stack:
        (port,) = stack.enter_context(start_upstreams(1))
        tell("store: starts")
        starts = [measure_start(home, port, name, command) for name, command in commands(stores).items()]
        targets = {
            name: stack.enter_context(start_ours(folder(home, f"store-{name}"), port, command))
            for name, command in commands(stores).items()
        }
        costs: list[Cost] = []
        for case, connections in CONNECTIONS.items():
            tell(f"store, {case}")
            costs += compare(case, run_rounds(targets, connections, ROUNDS * rounds, seconds))
    return StoreResult(costs, starts)


def measure_start(home: Path, port: int, name: str, command: str) -> Start:
    """Start it several times; the first time, which makes the tables, does not count."""
    seconds, sizes = [], []
    for _ in range(1 + STARTS):
        began = time.monotonic()
        with start_ours(home, port, command) as target:
            seconds.append(time.monotonic() - began)
            time.sleep(SETTLED_SECONDS)
            sizes.append(resident_bytes(target.pids))
    return Start(name, median(seconds[1:]), round(median(sizes[1:])))


def run_rounds(targets: Mapping[str, Target], connections: int, rounds: int, seconds: float) -> dict[str, Rounds]:
    """All in each round; who comes first changes."""
    found = {name: Rounds(target) for name, target in targets.items()}
    turns = list(found.values())
    for _ in range(rounds):
        for one in turns:
            one.samples.append(run_load(plan(one.target, connections, seconds)))
        turns.append(turns.pop(0))
    return found


def plan(target: Target, connections: int, seconds: float) -> Plan:
    """The load, which is the same for all."""
    return Plan(
        target.port,
        PATH,
        connections=connections,
        seconds=seconds,
        warmup_seconds=WARMUP_SECONDS,
        pids=target.pids,
    )


def compare(case: str, found: Mapping[str, Rounds]) -> Iterator[Cost]:
    """What the rounds add up to, by store."""
    baseline = [_request_us(sample) for sample in next(iter(found.values())).samples]
    for name, rounds in found.items():
        costs = [_request_us(sample) for sample in rounds.samples]
        pairs = zip(costs, baseline, strict=True)
        yield Cost(
            case=case,
            store=name,
            costs=tuple(cost for cost in costs if cost is not None),
            differences=tuple(cost - base for cost, base in pairs if cost is not None and base is not None),
            requests_per_second=of_rounds(rounds.samples, lambda sample: sample.completed / sample.seconds),
            p50=of_rounds(rounds.samples, lambda sample: sample.p50),
            p99=of_rounds(rounds.samples, lambda sample: sample.p99),
            errors=sum(sum(sample.errors.values()) for sample in rounds.samples),
        )


def _request_us(sample: Sample) -> float | None:
    return per_request_us(sample.cpu_seconds, sample.answers)


@contextmanager
def empty_stores(home: Path, complaints: list[str]) -> Iterator[dict[str, str]]:
    """None, a SQLite file, and a PostgreSQL where there is one: URLs by name."""
    with ExitStack() as stack:
        stores = {NONE: "none", SQLITE: f"sqlite:///{home / 'history.db'}"}
        try:
            stores[POSTGRESQL] = stack.enter_context(own_postgresql()).create()
        except pytest.skip.Exception as error:
            complaints.append(f"store: PostgreSQL is left out: {error}")
        yield stores


@contextmanager
def own_postgresql() -> Iterator[PostgreSQL]:
    """One that writes to its disk, as an operator's does. Raises pytest.skip.Exception where there is none."""
    with PostgreSQL(free_port(), AS_OPERATED) as server:
        yield server
