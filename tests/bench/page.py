"""What the built-in page costs the sidecar: a real one, in Chromium, in several situations, without traffic and with
it; and what it weighs on the wire. Chromium's own CPU time is no part of it.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser

from exporter.api.monitoring.page import PATH, parts
from tests.bench import cases
from tests.bench.load import Plan
from tests.bench.page_browser import LIVE, PAUSED, POLLING, Wire, open_browser, state_of, visit, wait
from tests.bench.processes import StartError, cpu_seconds, family
from tests.bench.rounds import run_load
from tests.bench.store import SQLITE, commands
from tests.bench.targets import Target, start_ours, start_upstreams

OPEN_SECONDS = 4.0
"""A page is open by then."""
SETTLE_SECONDS = 8.0
WATCH_SECONDS = 30.0
STREAMS, CHUNKS, PACE_SECONDS = 8, 16, 0.1
"""Five requests a second, which take 1.6 s each: there is always something in flight."""
EARLIER = 400
"""Finished requests before the first round: the list of them is full from the beginning."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Who looks at what, and whether clients send requests meanwhile."""

    name: str
    section: str = "overview"
    pages: int = 1
    state: str = LIVE
    """What the page says of its connection."""
    traffic: bool = False


NOBODY = "no page"
SITUATIONS = (
    Situation(NOBODY, pages=0),
    Situation("overview"),
    Situation("requests", "requests"),
    Situation("models", "models"),
    Situation("streams blocked", state=POLLING),
    Situation("hidden", state=PAUSED),
    Situation("ten pages", pages=10),
    Situation(NOBODY, pages=0, traffic=True),
    Situation("overview", traffic=True),
    Situation("requests", "requests", traffic=True),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One situation, once."""

    cpu_share: float
    """CPU seconds of the sidecar per second."""
    wire: Wire
    """Of one page, per second."""


@dataclass(slots=True)
class Watched:
    """One situation in all rounds; those of `nobody` were its neighbours."""

    situation: Situation
    rounds: list[Round] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    """Of each round: CPU seconds per second more than without a page."""

    @property
    def wire(self) -> Wire:
        """Of one page, per second: the medians of the rounds."""
        wires = [each.wire for each in self.rounds]
        return Wire(
            median(each.answers for each in wires),
            median(each.answer_bytes for each in wires),
            median(each.messages for each in wires),
            median(each.message_bytes for each in wires),
        )


@dataclass(frozen=True, slots=True)
class Sizes:
    """The page and all that it loads."""

    files: int
    plain_bytes: int
    sent_bytes: int
    """Compressed, as browsers ask for them."""


@dataclass(frozen=True, slots=True)
class PageResult:
    """All of it."""

    sizes: Sizes
    watched: list[Watched]


def measure_page(home: Path, rounds: int, complaints: list[str], tell: Callable[[str], None]) -> PageResult:
    """The situations in turns, on a sidecar with a SQLite file. Raises StartError."""
    command = commands({SQLITE: f"sqlite:///{home / 'page.db'}"})[SQLITE]
    with ExitStack() as stack:
        (port,) = stack.enter_context(start_upstreams(1))
        target = stack.enter_context(start_ours(home, port, command))
        sizes = weigh(target)
        browser = stack.enter_context(open_browser())
        run_load(Plan(target.port, f"{cases.PATH}?n={CHUNKS}&ms=0", True, seconds=60.0, requests=EARLIER))
        found = [Watched(each) for each in SITUATIONS]
        turns = list(found)
        for number in range(rounds):
            for one in turns:
                traffic = ", with traffic" if one.situation.traffic else ""
                tell(f"page, round {number + 1} of {rounds}: {one.situation.name}{traffic}")
                one.rounds.append(watch(target, browser, one.situation, complaints))
            turns.append(turns.pop(0))
        compare(found)
        return PageResult(sizes, found)


def compare(found: Sequence[Watched]) -> None:
    """Fill in the differences, each from the same round with the same traffic and nobody there."""
    nobody = {one.situation.traffic: one.rounds for one in found if one.situation.name == NOBODY}
    for one in found:
        pairs = zip(one.rounds, nobody[one.situation.traffic], strict=True)
        one.differences = [mine.cpu_share - base.cpu_share for mine, base in pairs]


def watch(target: Target, browser: Browser, situation: Situation, complaints: list[str]) -> Round:
    """Open the pages, let them settle, and look at the sidecar's CPU time; pages that are not as they should be are
    complained of."""
    wire = Wire()
    address = f"http://127.0.0.1:{target.admin_port}{PATH}?section={situation.section}"
    with ExitStack() as stack:
        if situation.traffic:
            stack.enter_context(sending(target, complaints))
        pages = [visit(stack, browser, address, situation.state, wire) for _ in range(situation.pages)]
        wait(pages, SETTLE_SECONDS)
        pids = family(target.pids[0])
        wire.clear()
        began, before = time.monotonic(), cpu_seconds(pids)
        wait(pages, WATCH_SECONDS)
        seconds, used = time.monotonic() - began, cpu_seconds(pids) - before
        found = Round(used / seconds, wire.over(seconds * len(pages)))
        states = {state_of(page) for page in pages}
    if states - {situation.state}:
        complaints.append(f"page, {situation.name}: the page was {', '.join(sorted(states))}")
    return found


@contextmanager
def sending(target: Target, complaints: list[str]) -> Iterator[None]:
    """Requests from now on, until the watching is over."""
    each = CHUNKS * PACE_SECONDS
    plan = Plan(
        target.port,
        f"{cases.PATH}?n={CHUNKS}&ms={PACE_SECONDS * 1000:.0f}",
        stream=True,
        connections=STREAMS,
        seconds=OPEN_SECONDS + SETTLE_SECONDS + WATCH_SECONDS,
        warmup_seconds=each,
        ramp_seconds=each,
    )

    def send() -> None:
        errors = run_load(plan).errors
        complaints.extend([f"page, traffic: {errors}"] if errors else [])

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def weigh(target: Target) -> Sizes:
    """The page and its parts, asked for as a browser does, and without compression."""
    assert target.admin_port is not None
    paths = [PATH, *(f"{PATH}/{name}" for name in parts())]
    plain, sent = (sum(fetch(target.admin_port, path, coding) for path in paths) for coding in ("identity", "gzip"))
    return Sizes(len(paths), plain, sent)


def fetch(port: int, path: str, coding: str) -> int:
    """Bytes of an answer's body. Raises StartError unless it is 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": coding})
        answer = connection.getresponse()
        size = len(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise StartError(f"{path}: status {answer.status}")
    return size
