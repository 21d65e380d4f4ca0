"""One load on several variants of the sidecar, in turns: what a request or a chunk costs more than with the first of
them, and how each of them starts. `store` and `otel` say which variants those are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.arithmetic import Middle, median_interval, middle, of_rounds
from tests.bench.load import Plan, Sample
from tests.bench.processes import resident_bytes
from tests.bench.rounds import run_load
from tests.bench.summary import request_us
from tests.bench.targets import Target, start_ours

ROUNDS = 5
"""Times as many as in the other cases."""
STARTS = 5
SETTLED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Cost:
    """One case on one variant."""

    case: str
    variant: str
    costs: tuple[float, ...]
    """CPU microseconds per request, or per chunk, in each round."""
    differences: tuple[float, ...]
    """Of each round: microseconds more than the first variant took."""
    requests_per_second: float | None
    p50: float | None
    p99: float | None
    """Seconds, medians of the rounds."""
    errors: int
    shares: tuple[float, ...] = ()
    """Of each round: the difference as a share of what the first variant took."""

    @property
    def middle_us(self) -> Middle | None:
        """CPU microseconds per request, or per chunk."""
        return middle(self.costs)

    @property
    def difference(self) -> float | None:
        """The median of the rounds' differences: what slows a round down hits all."""
        return median(self.differences) if self.differences else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it lies in 19 of 20 cases."""
        return median_interval(self.differences)

    @property
    def share(self) -> float | None:
        """The median of the rounds' shares."""
        return median(self.shares) if self.shares else None

    @property
    def share_interval(self) -> tuple[float, float] | None:
        """Where it lies in 19 of 20 cases."""
        return median_interval(self.shares)


@dataclass(frozen=True, slots=True)
class Start:
    """A sidecar that has just started, not for the first time. Medians of several starts."""

    variant: str
    seconds: float
    """Until `/-/healthy` is answered."""
    resident_bytes: int
    """Some seconds later, without traffic."""


@dataclass(slots=True)
class Rounds:
    """One target's samples of a case."""

    target: Target
    samples: list[Sample] = field(default_factory=list)


def measure_start(home: Path, port: int, name: str, command: str) -> Start:
    """Start it several times; the first time, which makes what there is not yet, does not count. Raises StartError."""
    seconds, sizes = [], []
    for _ in range(1 + STARTS):
        began = time.monotonic()
        with start_ours(home, port, command) as target:
            seconds.append(time.monotonic() - began)
            time.sleep(SETTLED_SECONDS)
            sizes.append(resident_bytes(target.pids))
    return Start(name, median(seconds[1:]), round(median(sizes[1:])))


def run_rounds(targets: Mapping[str, Target], plan: Callable[[Target], Plan], rounds: int) -> dict[str, Rounds]:
    """All in each round; who comes first changes."""
    found = {name: Rounds(target) for name, target in targets.items()}
    turns = list(found.values())
    for _ in range(rounds):
        for one in turns:
            one.samples.append(run_load(plan(one.target)))
        turns.append(turns.pop(0))
    return found


def per_request(_variant: str, sample: Sample) -> float | None:
    """What `compare` compares, unless it is told otherwise."""
    return request_us(sample)


def compare(
    case: str, found: Mapping[str, Rounds], cost: Callable[[str, Sample], float | None] = per_request
) -> Iterator[Cost]:
    """What the rounds add up to, by variant; `cost` gives the microseconds of a variant in one round."""
    first = next(iter(found))
    baseline = [cost(first, sample) for sample in found[first].samples]
    for name, rounds in found.items():
        costs = [cost(name, sample) for sample in rounds.samples]
        pairs = [(one, base) for one, base in zip(costs, baseline, strict=True) if one is not None and base is not None]
        yield Cost(
            case=case,
            variant=name,
            costs=tuple(one for one in costs if one is not None),
            differences=tuple(one - base for one, base in pairs),
            requests_per_second=of_rounds(rounds.samples, lambda sample: sample.completed / sample.seconds),
            p50=of_rounds(rounds.samples, lambda sample: sample.p50),
            p99=of_rounds(rounds.samples, lambda sample: sample.p99),
            errors=sum(sum(sample.errors.values()) for sample in rounds.samples),
            shares=tuple(one / base - 1 for one, base in pairs if base > 0),
        )
