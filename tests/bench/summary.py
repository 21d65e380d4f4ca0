"""What the rounds add up to: one `Row` of figures for each case and target, and its comparison with nginx. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.arithmetic import MICRO, Middle, difference, middle, of_rounds, per_chunk_us, per_request_us, ratio
from tests.bench.cases import Case
from tests.bench.load import Sample
from tests.bench.rounds import Measured, Results
from tests.bench.targets import DIRECT, NGINX, OURS


@dataclass(frozen=True, slots=True)
class Figures:
    """One target in one case: medians of the rounds. Times are seconds; None where there was nothing to measure."""

    requests_per_second: float | None
    cpu_share: float | None
    """CPU seconds per second."""
    request_us: Middle | None
    """CPU microseconds per answer, a whole stream being one answer."""
    chunk_us: Middle | None
    p50: float | None
    p99: float | None
    ttfb_p50: float | None
    reads: float | None
    """Pieces in which one answer reached the client."""
    late_p99: float | None
    """How much later than its pace a chunk came; None for streams without one."""
    errors: Mapping[str, int]
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    case: str
    target: str
    figures: Figures
    added_p50: float | None
    """Latency beyond that of `direct`, seconds; None for `direct` itself."""
    added_p99: float | None
    ratio: float | None
    """Our CPU time over that of nginx: per chunk for streams, per request for JSON; None on other lines."""
    limit: float | None
    """The most that `ratio` may be; None where no target was set."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None when there is none, or nothing to compare."""
        return None if self.ratio is None or self.limit is None else self.ratio <= self.limit


def answers_per_second(sample: Sample) -> float | None:
    """Answers per second in one round."""
    return sample.answers / sample.seconds if sample.answers else None


def request_us(sample: Sample) -> float | None:
    """CPU microseconds per answer in one round."""
    return per_request_us(sample.cpu_seconds, sample.answers)


def chunk_us(case: Case, sample: Sample, json_us: float | None) -> float | None:
    """CPU microseconds per chunk in one round.

    Where all streams began before the interval there are no requests to take off, and each read is one chunk.
    """
    if case.steady:
        return sample.cpu_seconds / sample.reads * MICRO if sample.reads else None
    return per_chunk_us(request_us(sample), json_us, case.chunks)


def figures(case: Case, measured: Measured, json_us: float | None) -> Figures:
    """What the rounds of one target add up to; `json_us` is its CPU time per JSON request at as many connections."""
    rounds = measured.samples
    has_cpu = any(sample.cpu_seconds for sample in rounds)
    return Figures(
        requests_per_second=None if case.steady else of_rounds(rounds, answers_per_second),
        cpu_share=of_rounds(rounds, lambda one: one.cpu_seconds / one.seconds) if has_cpu else None,
        request_us=middle([request_us(one) for one in rounds]) if has_cpu and not case.steady else None,
        chunk_us=middle([chunk_us(case, one, json_us) for one in rounds]) if has_cpu else None,
        p50=of_rounds(rounds, lambda one: one.p50),
        p99=of_rounds(rounds, lambda one: one.p99),
        ttfb_p50=of_rounds(rounds, lambda one: one.ttfb_p50),
        reads=None if case.steady else of_rounds(rounds, lambda one: ratio(one.reads, one.answers)),
        late_p99=difference(of_rounds(rounds, lambda one: one.gap_p99), case.pace_seconds)
        if case.pace_seconds
        else None,
        errors=dict(sum((Counter(one.errors) for one in rounds), Counter())),
        resident_bytes=measured.resident_bytes,
    )


def case_figures(case: Case, results: Results) -> dict[str, Figures]:
    """The figures of all targets in one case."""
    base = results.get(case.base, {}) if case.base else {}
    found = {}
    for target, measured in results[case.name].items():
        json_us = of_rounds(base[target].samples, request_us) if target in base else None
        found[target] = figures(case, measured, json_us)
    return found


def compare(case: Case, by_target: Mapping[str, Figures]) -> float | None:
    """Our CPU time over that of nginx, per chunk where the case streams, else per request."""
    if OURS not in by_target or NGINX not in by_target:
        return None
    costs = [one.chunk_us if case.contents else one.request_us for one in (by_target[OURS], by_target[NGINX])]
    ours, theirs = (None if cost is None else cost.value for cost in costs)
    return ratio(ours, theirs)


def summarise(cases: Sequence[Case], results: Results) -> list[Row]:
    """The table's lines: the cases in order, in each the targets in order."""
    rows = []
    for case in cases:
        by_target = case_figures(case, results)
        times = compare(case, by_target)
        direct = by_target[DIRECT]
        for target, one in by_target.items():
            is_ours, is_direct = target == OURS, target == DIRECT
            rows.append(
                Row(
                    case=case.name,
                    target=target,
                    figures=one,
                    added_p50=None if is_direct else difference(one.p50, direct.p50),
                    added_p99=None if is_direct else difference(one.p99, direct.p99),
                    ratio=times if is_ours else None,
                    limit=case.limit if is_ours else None,
                )
            )
    return rows
