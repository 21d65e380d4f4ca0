from __future__ import annotations

import pytest

from tests.bench.cases import Case
from tests.bench.load import Sample
from tests.bench.rounds import Measured, Results
from tests.bench.summary import Row, summarise

JSON = Case("json-32", 32, limit=18.0)
STREAM = Case("stream-32", 32, contents=64, base="json-32", limit=2.5)
PACED = Case("paced-32", 32, contents=64, pace_seconds=0.01, base="json-32")
IDLE = Case("idle-9", 9, contents=4, pace_seconds=1.0, ramp_seconds=1.0)


def sample(cpu: float, answers: float, *, p50: float = 0.001, reads: int = 0, errors: int = 0) -> Sample:
    failures = {"connection lost": errors} if errors else {}
    return Sample(1.0, cpu, answers, int(answers), reads, p50, 2 * p50, p50 / 2, 0.0125, 0.05, failures)


def measured(*samples: Sample, resident_bytes: int = 0) -> Measured:
    return Measured(list(samples), resident_bytes)


def rows_of(cases: list[Case], results: Results) -> dict[tuple[str, str], Row]:
    return {(row.case, row.target): row for row in summarise(cases, results)}


RESULTS: Results = {
    "json-32": {
        "direct": measured(sample(0, 100_000, p50=0.001)),
        "nginx": measured(sample(0.9, 50_000, p50=0.0015), sample(2.0, 50_000), sample(0.9, 50_000)),
        "llama-exporter": measured(sample(0.9, 3_000, p50=0.01, errors=2), sample(0.9, 3_000, p50=0.01, errors=1)),
    },
    "stream-32": {
        "direct": measured(sample(0, 2_000)),
        "nginx": measured(sample(0.9, 900)),
        "llama-exporter": measured(sample(0.9, 250, reads=5_000)),
    },
}


def test_json_is_compared_by_request() -> None:
    rows = rows_of([JSON], RESULTS)
    ours = rows["json-32", "llama-exporter"]
    assert ours.figures.request_us is not None
    assert ours.figures.request_us.value == pytest.approx(300)
    assert ours.figures.chunk_us is None
    assert ours.ratio == pytest.approx(300 / 18)
    assert ours.met is True
    assert ours.added_p50 == pytest.approx(0.009)
    assert ours.figures.errors == {"connection lost": 3}
    assert rows["json-32", "nginx"].ratio is None
    assert rows["json-32", "direct"].added_p50 is None
    assert rows["json-32", "direct"].figures.request_us is None


def test_streams_are_compared_by_chunk_with_requests_taken_off() -> None:
    ours = rows_of([JSON, STREAM], RESULTS)["stream-32", "llama-exporter"]
    ours_us, theirs_us = (3_600 - 300) / 67, (1_000 - 18) / 67
    assert ours.figures.chunk_us is not None
    assert ours.figures.chunk_us.value == pytest.approx(ours_us)
    assert ours.ratio == pytest.approx(ours_us / theirs_us)
    assert (ours.limit, ours.met) == (2.5, False)
    assert ours.figures.reads == pytest.approx(20)
    assert ours.figures.late_p99 is None


def test_a_chunk_costs_nothing_known_without_the_json_case() -> None:
    rows = rows_of([STREAM], {"stream-32": RESULTS["stream-32"]})
    assert rows["stream-32", "nginx"].figures.chunk_us is None
    assert rows["stream-32", "llama-exporter"].met is None


def test_streams_that_span_the_interval_have_chunks_only() -> None:
    results: Results = {
        "idle-9": {"direct": measured(sample(0, 3)), "nginx": measured(sample(0.001, 3, reads=40), resident_bytes=7)}
    }
    nginx = rows_of([IDLE], results)["idle-9", "nginx"].figures
    assert nginx.chunk_us is not None
    assert nginx.chunk_us.value == pytest.approx(25)
    assert (nginx.request_us, nginx.requests_per_second, nginx.reads) == (None, None, None)
    assert nginx.resident_bytes == 7


def test_lateness_is_what_the_pace_does_not_explain() -> None:
    results: Results = {"paced-32": {"direct": measured(sample(0, 48))}}
    assert rows_of([PACED], results)["paced-32", "direct"].figures.late_p99 == pytest.approx(0.0025)
