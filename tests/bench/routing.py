"""What choosing among three upstreams costs per request: the same load on llama-exporter with one upstream and with
three, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.arithmetic import Middle, middle, of_rounds, per_request_us
from tests.bench.cases import PATH, WARMUP_SECONDS
from tests.bench.load import Plan, Sample
from tests.bench.rounds import run_load
from tests.bench.targets import PROXY_COMMAND, TIERS, Target, routed_command, start_ours, start_upstreams

CONNECTIONS = {"json-1": 1, "json-32": 32, "json-256": 256}
"""The cases: number of connections by name."""
DIFFERENCE_LIMIT = 0.15
"""CPU time per request with three upstreams: at most so much more than with one."""
ROUNDS = 2
"""Times as many as in the other cases, for the difference is small beside what the rounds differ in."""

MESSAGES = (
    "What is the capital of Portugal, and how many people live there now, in the city itself, without its suburbs?",
    "Explain in a few words how a prompt cache works, because our new colleague from sales has never heard of one.",
    "Analyze why our proxy loses one request in a thousand, compare three causes, and then design a test for each.",
)
"""What a client would ask: some 20 words, one message for each tier."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case: CPU microseconds per request and latencies in seconds, medians of the rounds."""

    case: str
    one_us: Middle | None
    three_us: Middle | None
    differences: tuple[float, ...]
    """Of each round: three upstreams over one, less 1."""
    one_p50: float | None
    three_p50: float | None
    errors: int

    @property
    def difference(self) -> float | None:
        """The median of the rounds' differences: what slows a round down hits both."""
        return median(self.differences) if self.differences else None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None when nothing was measured."""
        return None if self.difference is None else self.difference <= DIFFERENCE_LIMIT


@dataclass(slots=True)
class Pair:
    """The rounds of one case, on either target."""

    one: list[Sample]
    three: list[Sample]


def measure_routing(home: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Comparison]:
    """Start both, and their upstreams; measure every case. Raises StartError."""
    with ExitStack() as stack:
        ports = stack.enter_context(start_upstreams(len(TIERS)))
        one, three = (
            stack.enter_context(start_ours(folder(home, name), ports[0], command))
            for name, command in (("one", PROXY_COMMAND), ("three", routed_command(ports)))
        )
        found = []
        for case, connections in CONNECTIONS.items():
            tell(f"routing, {case}")
            found.append(compare(case, run_pair(one, three, connections, ROUNDS * rounds, seconds)))
    return found


def folder(home: Path, name: str) -> Path:
    """A place for the logs of one of them."""
    path = home / name
    path.mkdir()
    return path


def plan(target: Target, connections: int, seconds: float) -> Plan:
    """The load, which is the same for both."""
    return Plan(
        target.port,
        PATH,
        connections=connections,
        seconds=seconds,
        warmup_seconds=WARMUP_SECONDS,
        model="auto",
        messages=MESSAGES,
        pids=target.pids,
    )


def run_pair(one: Target, three: Target, connections: int, rounds: int, seconds: float) -> Pair:
    """Both in each round; who comes first changes."""
    pair = Pair([], [])
    for number in range(rounds):
        turns = [(one, pair.one), (three, pair.three)]
        for target, samples in turns if number % 2 == 0 else reversed(turns):
            samples.append(run_load(plan(target, connections, seconds)))
    return pair


def compare(case: str, pair: Pair) -> Comparison:
    """What the rounds add up to."""
    one, three = ([_request_us(sample) for sample in samples] for samples in (pair.one, pair.three))
    differences = (after / before - 1 for before, after in zip(one, three, strict=True) if before and after)
    return Comparison(
        case=case,
        one_us=middle(one),
        three_us=middle(three),
        differences=tuple(differences),
        one_p50=_p50(pair.one),
        three_p50=_p50(pair.three),
        errors=sum(sum(sample.errors.values()) for sample in (*pair.one, *pair.three)),
    )


def _request_us(sample: Sample) -> float | None:
    return per_request_us(sample.cpu_seconds, sample.answers)


def _p50(samples: Sequence[Sample]) -> float | None:
    return of_rounds(samples, lambda sample: sample.p50)
