"""What history costs: the same load on llama-exporter without a store, with a SQLite file, and with a PostgreSQL, in
turn; the memory that each takes, and the time until it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.bench.cases import PATH, WARMUP_SECONDS
from tests.bench.load import Plan
from tests.bench.processes import free_port
from tests.bench.routing import folder
from tests.bench.targets import NO_STORE, PROXY_COMMAND, Target, start_ours, start_upstreams
from tests.bench.variants import ROUNDS, Cost, Start, compare, measure_start, run_rounds
from tests.databases import PostgreSQL

NONE, SQLITE, POSTGRESQL = "none", "sqlite", "postgresql"
CONNECTIONS = {"json-1": 1, "json-32": 32}
"""The cases: number of connections by name."""
AS_OPERATED = {"listen_addresses": "127.0.0.1", "shared_buffers": "128MB"}


@dataclass(frozen=True, slots=True)
class StoreResult:
    """All of it."""

    costs: list[Cost]
    starts: list[Start]


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
            load = partial(plan, connections=connections, seconds=seconds)
            costs += compare(case, run_rounds(targets, load, ROUNDS * rounds))
    return StoreResult(costs, starts)


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
