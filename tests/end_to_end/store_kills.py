"""A sidecar that is killed in the middle of load, again and again on one store: what is there of it the next time?

`test_store_kills` does it a few times, `measure store --kills N` often.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_traffic import Traffic
from tests.end_to_end.store_views import figures

LOST_SECONDS = 1.0
"""What a client saw the end of longer ago than this is in the store when the sidecar is killed."""
LOAD_SECONDS = (1.2, 1.6)
"""How long after its first answer the sidecar is killed, at least and at most."""


@dataclass(frozen=True, slots=True)
class Kill:
    """What one of them left behind."""

    answered: int
    """In full, as clients saw it."""
    due: int
    """Of these, longer ago than `LOST_SECONDS`."""
    kept: int
    """Of those that were answered."""
    missing: list[str]
    """Of those that were due."""
    oldest_lost_seconds: float
    """How long before the kill a client had seen the end of the oldest request that is lost."""
    faults: list[str]
    open_seconds: float
    """Until the first question was answered, whatever had to be repaired before."""


@dataclass(slots=True)
class Killed:
    """All of them."""

    kills: list[Kill] = field(default_factory=list)
    rows: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all was as it should be."""
        return not self.faults and not any(each.missing or each.faults for each in self.kills)


def kill_often(
    url: str, upstream: str, kills: int, seed: int = 3, tell: Callable[[Kill], object] = lambda _: None
) -> Killed:
    """On the store at `url`, which nobody else uses. It is looked at before anybody opens it again."""
    rng = random.Random(seed)
    found = Killed()
    name = {"LLAMA_EXPORTER_STORE__INSTANCE": "box"}
    for number in range(kills):
        with Sidecar("--upstream", upstream, "--store", url, environment=name) as sidecar:
            traffic, killed = _load_and_kill(sidecar, f"k{number}", rng.uniform(*LOAD_SECONDS))
        look = _look(url, traffic, killed)
        found.kills.append(look)
        tell(look)
    with Sidecar("--upstream", upstream, "--store", url, environment=name) as sidecar:
        sidecar.wait_until(lambda: sidecar.said("the store is open"))
        rows = len(Books(url).column("id"))
        shown = figures(sidecar.admin)["total_requests"]
        found.rows = rows
        found.faults += [f"/metrics shows {shown} requests of {rows}"] if shown != rows else []
        sidecar.stop()
    found.faults += Books(url).faults()
    return found


def _load_and_kill(sidecar: Sidecar, name: str, seconds: float) -> tuple[Traffic, float]:
    """The traffic, and the moment before the kill."""
    with Traffic(sidecar.proxy, name).running() as traffic:
        sidecar.wait_until(lambda: traffic.good and sidecar.said("the store is open"))
        time.sleep(seconds)
        killed = time.monotonic()
        sidecar.stop(signal.SIGKILL)
    return traffic, killed


def _look(url: str, traffic: Traffic, killed: float) -> Kill:
    books = Books(url)
    began = time.monotonic()
    origins = books.column("origin")
    seconds = time.monotonic() - began
    kept = set(origins)
    answered = [each for each in traffic.good if each.ended <= killed]
    due = [each for each in answered if each.ended < killed - LOST_SECONDS]
    lost = [each for each in answered if each.origin not in kept]
    faults = books.faults()
    if len(kept) != len(origins):
        faults.append(f"{len(origins) - len(kept)} requests are there twice")
    return Kill(
        answered=len(answered),
        due=len(due),
        kept=len(answered) - len(lost),
        missing=[each.origin for each in due if each.origin not in kept],
        oldest_lost_seconds=max((killed - each.ended for each in lost), default=0.0),
        faults=faults,
        open_seconds=seconds,
    )
