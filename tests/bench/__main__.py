"""`python -m tests.bench`: compares llama-exporter with nginx and with no proxy at all, in one run on one machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from tests.bench.cases import CASES, select
from tests.bench.live import LiveResult, measure_live
from tests.bench.models import ModelsResult, measure_models
from tests.bench.otel import OtelResult, measure_otel
from tests.bench.page import PageResult, measure_page
from tests.bench.processes import StartError, raise_file_limit
from tests.bench.report import Report
from tests.bench.rounds import run_cases
from tests.bench.routing import Comparison, measure_routing
from tests.bench.scrape import measure_gap, measure_memory
from tests.bench.store import StoreResult, empty_stores, measure_store
from tests.bench.summary import Row, summarise
from tests.bench.targets import OURS, PROXY_COMMAND, Target, relays_faithfully, start_nginx, start_ours, start_upstream

EXTRAS = ("gap", "routing", "store", "otel", "memory", "live", "models", "page")
"""What is no case, but can be chosen as one."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--seconds-per-case", type=float, default=0.8, metavar="S", help="measured interval (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds per case (%(default)s)")
    names = ", ".join([*(case.name for case in CASES), *EXTRAS])
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help=f"by the start of its name: {names}"
    )
    parser.add_argument("--memory", action="store_true", help="also 100,000 requests with 10,000 model names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    parser.add_argument(
        "--proxy-command",
        default=PROXY_COMMAND,
        metavar="CMD",
        help="in the place of llama-exporter; of `otel`, one more to compare with",
    )
    return parser.parse_args(arguments)


def start_targets(stack: ExitStack, home: Path, proxy_command: str, complaints: list[str]) -> list[Target]:
    """Start what can be started; the upstream is the first target, and complaints say what is missing."""
    upstream = stack.enter_context(start_upstream())
    targets = [upstream]
    ways = {"nginx": start_nginx(home, upstream.port), OURS: start_ours(home, upstream.port, proxy_command)}
    for name, way in ways.items():
        try:
            target = stack.enter_context(way)
        except StartError as error:
            complaints.append(f"{name} did not start, it is left out: {error}")
            continue
        targets.append(target)
        if not relays_faithfully(target, upstream):
            complaints.append(f"{name} does not relay the upstream's answers as they are")
    return targets


def measure(
    options: argparse.Namespace,
    targets: Sequence[Target],
    complaints: list[str],
    fresh: Callable[[], AbstractContextManager[Target]],
    home: Path,
) -> Report:
    """Run what was asked for; `fresh` starts another llama-exporter, `home` is for the files of those."""
    cases = select(options.only)
    load_before = os.getloadavg()[0]
    results = run_cases(cases, targets, options.rounds, options.seconds_per_case, tell)
    ours = next((target for target in targets if target.name == OURS), None)
    wants_gap = not options.only or "gap" in options.only
    wants_memory = options.memory or "memory" in options.only
    rows = summarise(cases, results)
    complaints += error_lines(rows)
    gap = measure_gap(ours, targets[0], tell) if ours is not None and wants_gap else None
    memory = None
    if ours is not None and wants_memory:
        with fresh() as one_that_has_done_nothing_yet:
            memory = measure_memory(one_that_has_done_nothing_yet, tell)
    routing = compare_upstreams(options, home, complaints)
    store = compare_stores(options, home, complaints)
    otel = compare_tracing(options, home, complaints)
    live = observe_live(options, home, complaints)
    models = observe_models(options, home, complaints)
    page = observe_page(options, home, complaints)
    loads = load_before, os.getloadavg()[0]
    return Report(rows, results, gap, memory, routing, store, otel, live, models, page, complaints, loads)


def compare_upstreams(options: argparse.Namespace, home: Path, complaints: list[str]) -> list[Comparison]:
    """llama-exporter with one upstream and with three; nothing when it was not asked for, or another proxy was."""
    if options.proxy_command != PROXY_COMMAND or (options.only and "routing" not in options.only):
        return []
    try:
        found = measure_routing(home, options.rounds, options.seconds_per_case, tell)
    except StartError as error:
        complaints.append(f"llama-exporter did not start with three upstreams: {error}")
        return []
    complaints += [f"routing, {one.case}: {one.errors} errors" for one in found if one.errors]
    return found


def compare_stores(options: argparse.Namespace, home: Path, complaints: list[str]) -> StoreResult | None:
    """llama-exporter without history and with it; nothing when it was not asked for."""
    if "store" not in options.only or options.proxy_command != PROXY_COMMAND:
        return None
    try:
        with empty_stores(home, complaints) as stores:
            found = measure_store(home, stores, options.rounds, options.seconds_per_case, tell)
    except StartError as error:
        complaints.append(f"llama-exporter did not start with a store: {error}")
        return None
    complaints += [f"store, {one.case}, {one.variant}: {one.errors} errors" for one in found.costs if one.errors]
    return found


def compare_tracing(options: argparse.Namespace, home: Path, complaints: list[str]) -> OtelResult | None:
    """llama-exporter without OpenTelemetry, with it, and another proxy where one was given; nothing when it was not
    asked for."""
    if "otel" not in options.only:
        return None
    other = None if options.proxy_command == PROXY_COMMAND else options.proxy_command
    try:
        found = measure_otel(home, other, options.rounds, options.seconds_per_case, tell)
    except StartError as error:
        complaints.append(f"llama-exporter did not start with OpenTelemetry: {error}")
        return None
    complaints += [f"otel, {one.case}, {one.variant}: {one.errors} errors" for one in found.costs if one.errors]
    complaints += [f"otel, {one.case}, {one.variant}: no span arrived" for one in found.spans if not one.exported]
    return found


def observe_live(options: argparse.Namespace, home: Path, complaints: list[str]) -> LiveResult | None:
    """The live contracts, which take three minutes; nothing when they were not asked for."""
    if "live" not in options.only or options.proxy_command != PROXY_COMMAND:
        return None
    try:
        found = measure_live(home, tell)
    except StartError as error:
        complaints.append(f"llama-exporter did not start with three upstreams: {error}")
        return None
    complaints += [f"live, {one.path}: {one.errors} errors" for one in found.routes if one.errors]
    complaints += [f"live, readers of {one.path}: {one.reading.errors}" for one in found.crowds if one.reading.errors]
    complaints += [f"live, one reader: {found.period.errors}"] if found.period.errors else []
    return found


def observe_models(options: argparse.Namespace, home: Path, complaints: list[str]) -> ModelsResult | None:
    """The model manager, which takes two minutes; nothing when it was not asked for."""
    if "models" not in options.only or options.proxy_command != PROXY_COMMAND:
        return None
    try:
        found = measure_models(home, complaints, tell)
    except StartError as error:
        complaints.append(f"the model manager could not be measured: {error}")
        return None
    errors = found.clients.reading.errors
    complaints += [f"models, clients of Socket.IO: {errors}"] if errors else []
    return found


def observe_page(options: argparse.Namespace, home: Path, complaints: list[str]) -> PageResult | None:
    """The built-in page, which takes twenty minutes; nothing when it was not asked for."""
    if "page" not in options.only or options.proxy_command != PROXY_COMMAND:
        return None
    try:
        return measure_page(home, options.rounds, complaints, tell)
    except StartError as error:
        complaints.append(f"the built-in page could not be measured: {error}")
        return None


def error_lines(rows: Sequence[Row]) -> list[str]:
    """What went wrong in the cases, one line for each case and target."""
    return [
        f"{row.case}, {row.target}: " + ", ".join(f"{count} x {what}" for what, count in row.figures.errors.items())
        for row in rows
        if row.figures.errors
    ]


def tell(what: str) -> None:
    """Say what is being measured."""
    print(f"measuring {what}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something could not be measured."""
    options = parse(arguments)
    raise_file_limit()
    began = time.monotonic()
    complaints: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as home, ExitStack() as stack:
        targets = start_targets(stack, Path(home), options.proxy_command, complaints)
        fresh = partial(start_ours, Path(home), targets[0].port, options.proxy_command)
        report = measure(options, targets, complaints, fresh, Path(home))
    print(report.text())
    print(f"\n{time.monotonic() - began:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps(report.document(), indent=1))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
