"""The measurements of the store, and their tables: `python -m tests.end_to_end.measure store`; `--part` chooses some.

figures: `/metrics` as JSON over a million requests, each answer checked.
list: `/completion_requests` over 100,000 rows: first byte, memory, and what a stream beside it notices.
write: how many records a second can be written, and what one costs.
cost: CPU per proxied request, memory and start with and without (`tests.bench --only store` has it, too).
kills: kill -9 in the middle of load, again and again.
trouble: a store that cannot be written for a while, in several ways.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.bench.arithmetic import percentile
from tests.bench.processes import free_port
from tests.bench.store import AS_OPERATED, NONE, POSTGRESQL, SQLITE, measure_store
from tests.bench.table import align, megabytes, milliseconds, number, render_store
from tests.bench.targets import start_upstreams
from tests.databases import PostgreSQL
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_fill import fill
from tests.end_to_end.store_kills import LOST_SECONDS, Kill, Killed, kill_often
from tests.end_to_end.store_speed import (
    Calls,
    Listing,
    Written,
    measure_figures,
    measure_listing,
    measure_writer,
    serving,
)
from tests.end_to_end.store_trouble import (
    OPEN,
    Course,
    NotPermittedError,
    Phase,
    Trouble,
    full,
    locked,
    ride_out,
    small_disk,
    stopped,
)

PARTS = ("figures", "list", "write", "cost", "kills", "trouble")
REQUESTS, DAYS = 1_000_000, 29.0
FIGURES_TARGET_SECONDS = 0.1
FIRST_BYTE_TARGET_SECONDS = 0.05
RATES = (1000, 2000, 5000, 10_000, 20_000)
RATE_TARGET = 5000
RATE_SECONDS = 8.0
KILLS = 20
POSTGRESQL_KILLS = 5
TROUBLE_SECONDS = {"file locked": 10.0, "disk full": 10.0, "PostgreSQL stopped": 30.0}
COST_ROUNDS, COST_SECONDS = 3, 0.8


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be measured, and with what."""

    parts: Sequence[str]
    databases: Sequence[str]
    requests: int
    kills: int
    folder: Path | None
    """Where full stores are kept for the next time; None: nowhere."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those of `store` alone."""
    parser.add_argument("--part", action="append", choices=PARTS, default=[], help="store: one of its parts")
    parser.add_argument("--database", action="append", choices=[SQLITE, POSTGRESQL], default=[], help="store: one kind")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--folder", type=Path, help="store: where the SQLite file with the requests is kept, and found")


def read_options(arguments: argparse.Namespace) -> Options:
    """As parsed."""
    return Options(
        parts=arguments.part or PARTS,
        databases=arguments.database or (SQLITE, POSTGRESQL),
        requests=arguments.requests or REQUESTS,
        kills=arguments.kills,
        folder=arguments.folder,
    )


class Stores:
    """Where to put them."""

    def __init__(self, home: Path, server: PostgreSQL | None) -> None:
        self.home = home
        self.server = server
        self._count = 0

    def kinds(self, options: Options) -> list[str]:
        """Those that are wanted and can be had."""
        return [kind for kind in options.databases if kind == SQLITE or self.server is not None]

    def empty(self, kind: str) -> str:
        """The URL of a new one."""
        if kind == POSTGRESQL:
            assert self.server is not None
            return self.server.create()
        self._count += 1
        return f"sqlite:///{self.home / f'history-{self._count}.db'}"


@contextmanager
def stores(home: Path, options: Options) -> Iterator[Stores]:
    """With a PostgreSQL that writes to its disk, where there is one and it is wanted."""
    with ExitStack() as stack:
        server = None
        if POSTGRESQL in options.databases:
            try:
                server = stack.enter_context(PostgreSQL(free_port(), AS_OPERATED))
            except pytest.skip.Exception as error:
                print(f"PostgreSQL is left out: {error}")
        yield Stores(home, server)


def measure_all(home: Path, options: Options) -> bool:
    """Whether all targets were met, and nothing was lost."""
    good = True
    with stores(home, options) as places, start_upstreams(1) as (port,):
        if {"figures", "list"} & set(options.parts):
            for kind in places.kinds(options):
                good &= _measure_full(home, port, kind, _full(places, kind, options), options)
        if "write" in options.parts:
            written = [_measure_writes(kind, places) for kind in places.kinds(options)]
            good &= all(written)
        if "cost" in options.parts:
            good &= _measure_cost(home, places, options)
        if "kills" in options.parts:
            kept = [_measure_kills(port, kind, places, options) for kind in places.kinds(options)]
            good &= all(kept)
        if "trouble" in options.parts:
            good &= _measure_troubles(port, places, options)
    return good


def tell(what: str) -> None:
    """What is going on."""
    print(what, file=sys.stderr, flush=True)


def _full(places: Stores, kind: str, options: Options) -> tuple[str, int]:
    """The URL of a full store, and the moment of its newest request in microseconds."""
    if kind == SQLITE and options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{options.folder.absolute() / f'history-{options.requests}.db'}"
    else:
        url = places.empty(kind)
    tell(f"filling {kind} with {options.requests:,} requests")
    newest = fill(url, options.requests, DAYS)
    if kind == POSTGRESQL and places.server is not None:
        places.server.execute("ANALYZE", url.rpartition("/")[2])  # as its own housekeeping does after a while
    return url, newest


def _measure_full(home: Path, port: int, kind: str, store: tuple[str, int], options: Options) -> bool:
    url, newest = store
    good = True
    if "figures" in options.parts:
        tell(f"{kind}: figures")
        with serving(home, port, url) as target:
            found = measure_figures(target, url, newest, DAYS)
        print(render_figures(kind, options.requests, found))
        good &= all(not each.wrong and each.at(95) < FIGURES_TARGET_SECONDS for each in found)
    if "list" in options.parts:
        tell(f"{kind}: list")
        listing = measure_listing(home, port, url)
        print(render_listing(kind, listing))
        good &= all(each.first_byte < FIRST_BYTE_TARGET_SECONDS for each in listing.alone)
    return good


def render_figures(kind: str, requests: int, found: Sequence[Calls]) -> str:
    """`/metrics`."""
    lines: list[tuple[str, ...]] = [("period", "calls", "p50 ms", "p95 ms", "p99 ms", "longest ms", "wrong")]
    for each in found:
        at = (milliseconds(each.at(q)) for q in (50, 95, 99, 100))
        lines.append((each.what, str(len(each.seconds)), *at, str(each.wrong)))
    target = f"target: p95 < {FIGURES_TARGET_SECONDS * 1000:.0f} ms"
    return "\n".join([f"/metrics as JSON over {requests:,} requests, {kind}; {target}", *align(lines, left=1), ""])


def render_listing(kind: str, found: Listing) -> str:
    """`/completion_requests`."""
    firsts = [one.first_byte for one in found.alone]
    memory = map(megabytes, (found.resident_before, found.resident_peak, found.resident_after))
    streams = [
        ("a proxied stream, a chunk each 10 ms", "p99 ms late", "longest ms late", "errors"),
        *(
            (name, milliseconds(gaps.p99), milliseconds(gaps.longest), str(gaps.errors))
            for name, gaps in (("alone", found.quiet), (f"while {found.lists_during} lists were read", found.during))
        ),
    ]
    return "\n".join(
        [
            f"/completion_requests, {kind}; target: first byte < {FIRST_BYTE_TARGET_SECONDS * 1000:.0f} ms",
            f"  {found.alone[0].rows:,} rows, {megabytes(found.alone[0].size)} MB: first byte after "
            f"{milliseconds(min(firsts))} to {milliseconds(max(firsts))} ms, whole in "
            f"{number(percentile([one.whole for one in found.alone], 50), 2)} s",
            "  RSS before, at most and after: {}, {} and {} MB".format(*memory),
            *align(streams, left=1),
            "",
        ]
    )


def _measure_writes(kind: str, places: Stores) -> bool:
    found = []
    for rate in RATES:
        tell(f"{kind}: {rate:,} records a second")
        found.append(measure_writer(places.empty(kind), rate, RATE_SECONDS))
    print(render_writes(kind, found))
    return all(each.sustained for each in found if each.rate <= RATE_TARGET)


def render_writes(kind: str, found: Sequence[Written]) -> str:
    """The writer."""
    lines = [
        ("records/s", "fed", "longest queue", "written s later", "CPU us/record", "loop late p99 ms", "dropped", "")
    ]
    lines += [
        (
            f"{each.rate:,}",
            f"{each.fed:,.0f}",
            f"{each.longest_queue:,}",
            number(each.late_seconds, 2),
            number(each.record_us),
            milliseconds(each.loop_late),
            str(each.dropped),
            "sustained" if each.sustained else "NOT SUSTAINED",
        )
        for each in found
    ]
    return "\n".join([f"the writer, {kind}; target: {RATE_TARGET:,} records/s", *align(lines, left=0), ""])


def _measure_cost(home: Path, places: Stores, options: Options) -> bool:
    urls = {NONE: "none", **{kind: places.empty(kind) for kind in places.kinds(options)}}
    found = measure_store(home, urls, COST_ROUNDS, COST_SECONDS, tell)
    print(render_store(found) + "\n")
    return not any(each.errors for each in found.costs)


def _measure_kills(port: int, kind: str, places: Stores, options: Options) -> bool:
    kills = options.kills if kind == SQLITE else min(options.kills, POSTGRESQL_KILLS)
    tell(f"{kind}: {kills} kills")

    def say(kill: Kill) -> None:
        tell(f"  {kill.answered} answered, {kill.answered - kill.kept} lost; {kill.faults or 'no faults'}")

    found = kill_often(places.empty(kind), f"http://127.0.0.1:{port}", kills, tell=say)
    print(render_kills(kind, found))
    return found.good


def render_kills(kind: str, found: Killed) -> str:
    """What was left."""
    kills = found.kills
    faults = [*found.faults, *(fault for each in kills for fault in each.faults)]
    lost = max(each.oldest_lost_seconds for each in kills)
    return "\n".join(
        [
            f"kill -9 in the middle of load, {len(kills)} times on one store, {kind}:",
            f"  {sum(each.answered for each in kills):,} requests answered in full, "
            f"{sum(each.due for each in kills):,} of them more than {LOST_SECONDS:g} s before the kill: "
            f"{sum(len(each.missing) for each in kills)} of these missing",
            f"  {sum(each.answered - each.kept for each in kills):,} of the others lost; the oldest of them was "
            f"answered {lost:.2f} s before the kill",
            f"  {found.rows:,} rows in the end; the store opens, and answers, within "
            f"{max(each.open_seconds for each in kills):.2f} s",
            f"  faults: {'; '.join(faults) or 'none (integrity, twice, roll-ups, totals)'}",
            "",
        ]
    )


def _measure_troubles(port: int, places: Stores, options: Options) -> bool:
    found = {}
    for name, (url, trouble) in _troubles(places, options):
        tell(f"trouble: {name}")
        with Sidecar("--upstream", f"http://127.0.0.1:{port}", "--store", url) as sidecar:
            sidecar.wait_until(partial(sidecar.said, OPEN))
            found[name] = ride_out(sidecar, url, trouble, TROUBLE_SECONDS[name])
    print(render_troubles(found))
    return all(course.good for course in found.values())


def _troubles(places: Stores, options: Options) -> Iterator[tuple[str, tuple[str, Trouble]]]:
    if SQLITE in options.databases:
        file = places.home / "locked.db"
        yield "file locked", (f"sqlite:///{file}", partial(locked, file))
        try:
            with small_disk() as disk:
                yield "disk full", (f"sqlite:///{disk / 'history.db'}", partial(full, disk))
        except NotPermittedError as error:
            print(f"disk full is left out: {error}")
    if POSTGRESQL in options.databases and places.server is not None:
        yield "PostgreSQL stopped", (places.empty(POSTGRESQL), partial(stopped, places.server, "immediate"))


def render_troubles(found: Mapping[str, Course]) -> str:
    """What clients noticed, and what became of the records."""
    lines: list[tuple[str, ...]] = [
        (
            "trouble",
            *("requests meanwhile", "failed", "p50 ms before", "meanwhile", "p99 ms before", "meanwhile"),
            *("back after s", "requests", "rows", "dropped", "log lines", "faults"),
        )
    ]
    lines += [
        (
            name,
            f"{one.troubled.requests:,}",
            str(sum(phase.failed for phase in (one.quiet, one.troubled, one.again))),
            *map(milliseconds, _pairs(one, lambda phase: phase.p50)),
            *map(milliseconds, _pairs(one, lambda phase: phase.p99)),
            number(one.recovery_seconds),
            f"{one.requests:,}",
            f"{one.rows:,}",
            f"{one.dropped:.0f}",
            str(len(one.said)),
            "; ".join(one.faults) or "none",
        )
        for name, one in found.items()
    ]
    return "\n".join(["a store that cannot be written", *align(lines, left=1), ""])


def _pairs(course: Course, figure: Callable[[Phase], float | None]) -> tuple[float | None, float | None]:
    return figure(course.quiet), figure(course.troubled)
