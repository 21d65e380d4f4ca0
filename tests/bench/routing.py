"""What choosing among three upstreams costs per request: the same load on llama-exporter with one upstream and with
three, in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench.arithmetic import Middle, median_interval, middle, of_rounds, per_request_us
from tests.bench.cases import PATH, WARMUP_SECONDS
from tests.bench.load import Plan, Sample
from tests.bench.rounds import run_load
from tests.bench.scrape import Scraper, sample_value
from tests.bench.targets import PROXY_COMMAND, TIERS, Target, routed_command, start_ours, start_upstreams

CONNECTIONS = {"json-1": 1, "json-32": 32, "json-256": 256}
"""The cases: number of connections by name."""
DIFFERENCE_LIMIT = 0.15
"""CPU time per request with three upstreams: at most so much more than with one."""
DECISIONS = "llm_routing_decision_duration_seconds"
ROUNDS = 10
"""Times as many as in the other cases, for the difference is small beside what the rounds differ in."""
SHARE = 0.5
"""And of half the time, so that both find the machine as busy."""

MESSAGES = (
    "What is the capital of Portugal, and how many people live there now, in the city itself, without its suburbs?",
    "Explain in a few words how a prompt cache works, because our new colleague from sales has never heard of one.",
    "Analyze why our proxy loses one request in a thousand, compare three causes, and then design a test for each.",
)
"""What a client would ask: some 20 words, one message for each tier."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One case. Latencies are seconds, medians of the rounds."""

    case: str
    costs: tuple[tuple[float, float], ...]
    """CPU microseconds per request in each round: with one upstream, with three."""
    one_p50: float | None
    three_p50: float | None
    errors: int
    decision_us: float | None = None
    """What `llm_routing_decision_duration_seconds` says of this case: the mean."""

    @property
    def one_us(self) -> Middle | None:
        """CPU microseconds per request with one upstream."""
        return middle([one for one, _ in self.costs])

    @property
    def three_us(self) -> Middle | None:
        """The same with three."""
        return middle([three for _, three in self.costs])

    @property
    def differences(self) -> tuple[float, ...]:
        """Of each round: three upstreams over one, less 1."""
        return tuple(three / one - 1 for one, three in self.costs)

    @property
    def difference(self) -> float | None:
        """The median of the rounds' differences: what slows a round down hits both."""
        return median(self.differences) if self.costs else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where it lies in 19 of 20 cases."""
        return median_interval(self.differences)

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
            before = read_decisions(three)
            compared = compare(case, run_pair(one, three, connections, ROUNDS * rounds, SHARE * seconds))
            found.append(replace(compared, decision_us=mean_us(before, read_decisions(three))))
    return found


def read_decisions(target: Target) -> tuple[float, float]:
    """How many decisions it has made, and how many seconds they have taken."""
    assert target.admin_port is not None
    scraper = Scraper(target.admin_port)
    scraper.scrape()
    count, seconds = (sample_value(scraper.text, f"{DECISIONS}_{part}") or 0.0 for part in ("count", "sum"))
    return count, seconds


def mean_us(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    """Microseconds of a decision between two readings."""
    return per_request_us(after[1] - before[1], after[0] - before[0])


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
    rounds = ((_request_us(one), _request_us(three)) for one, three in zip(pair.one, pair.three, strict=True))
    return Comparison(
        case=case,
        costs=tuple((one, three) for one, three in rounds if one and three),
        one_p50=_p50(pair.one),
        three_p50=_p50(pair.three),
        errors=sum(sum(sample.errors.values()) for sample in (*pair.one, *pair.three)),
    )


def _request_us(sample: Sample) -> float | None:
    return per_request_us(sample.cpu_seconds, sample.answers)


def _p50(samples: Sequence[Sample]) -> float | None:
    return of_rounds(samples, lambda sample: sample.p50)
