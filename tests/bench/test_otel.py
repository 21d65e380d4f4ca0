from __future__ import annotations

import shlex
import urllib.request
from dataclasses import replace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.bench.cases import Case, select
from tests.bench.load import Sample
from tests.bench.otel import (
    ALL,
    EXPORT_SECONDS,
    OFF,
    ONE_PERCENT,
    OTHER,
    OtelResult,
    Spans,
    account,
    commands,
    cost_us,
    json_costs,
    met,
    plan,
)
from tests.bench.scrape import sample_sum
from tests.bench.table import render_otel
from tests.bench.targets import PROXY_COMMAND, Target, start_collector
from tests.bench.variants import Cost, Rounds, Start, compare

JSON, STREAM = select(["stream-32"])


def sample(cpu_seconds: float, answers: float = 1000.0) -> Sample:
    """A round of a second."""
    return Sample(1.0, cpu_seconds, answers, int(answers), 0, 0.001, 0.002, 0.001, None, None)


def rounds(*cpu_seconds: float, answers: float = 1000.0) -> Rounds:
    return Rounds(Target("x", 1), [sample(each, answers) for each in cpu_seconds])


def test_the_variants_differ_in_the_environment_alone() -> None:
    found = commands(4318, None)
    assert list(found) == [OFF, ONE_PERCENT, ALL]
    assert found[OFF] == PROXY_COMMAND
    for name, share in ((ONE_PERCENT, "0.01"), (ALL, "1.0")):
        variables, _, command = found[name].partition(PROXY_COMMAND)
        assert command == ""
        first, *words = shlex.split(variables)
        assert first == "env"
        said = dict(word.split("=", 1) for word in words)
        assert said["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
        assert (said["OTEL_TRACES_SAMPLER"], said["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", share)
        assert "OTEL_METRIC_EXPORT_INTERVAL" not in said


def test_another_command_is_one_more_variant() -> None:
    assert commands(4318, "other {proxy_port}") == commands(4318, None) | {OTHER: "other {proxy_port}"}


@pytest.mark.parametrize("case", [JSON, STREAM])
def test_an_interval_is_made_of_whole_periods_of_exports_and_one_goes_before(case: Case) -> None:
    found = plan(case, 1.2, Target("x", 8001, (7,)))
    assert found.seconds == 2 * EXPORT_SECONDS
    assert found.warmup_seconds == found.ramp_seconds + EXPORT_SECONDS
    assert (found.port, found.pids, found.connections, found.stream) == (8001, (7,), 32, case is STREAM)


def test_requests_are_compared_with_those_of_off_round_by_round() -> None:
    found = {OFF: rounds(0.3, 0.5), ONE_PERCENT: rounds(0.315, 0.545)}
    off, one = compare("json-32", found, lambda name, sample: cost_us(JSON, {}, name, sample))
    assert (off.differences, off.shares) == ((0.0, 0.0), (0.0, 0.0))
    assert one.differences == pytest.approx((15, 45))
    assert one.shares == pytest.approx((0.05, 0.09))
    assert one.share == pytest.approx(0.07)


def test_chunks_are_what_a_stream_costs_beyond_a_request_of_its_own_variant() -> None:
    found = {JSON.name: {OFF: rounds(0.2, 0.3, 0.9), ALL: rounds(0.5)}}
    json_us = json_costs(STREAM, found)
    assert json_us == {OFF: pytest.approx(300), ALL: pytest.approx(500)}
    assert json_costs(JSON, found) == {}
    one_stream = sample((300 + STREAM.chunks * 30) / 1e6, answers=1.0)
    assert cost_us(STREAM, json_us, OFF, one_stream) == pytest.approx(30)
    assert cost_us(STREAM, json_us, ALL, one_stream) == pytest.approx(30 - 200 / STREAM.chunks)


def cost(variant: str, *shares: float) -> Cost:
    differences = tuple(300 * share for share in shares)
    return Cost("json-1", variant, (300.0,), differences, 900.0, 0.001, 0.002, 0, shares)


def test_one_percent_alone_has_a_target() -> None:
    assert met(cost(ONE_PERCENT, 0.02, 0.1, 0.3)) is True
    assert met(cost(ONE_PERCENT, 0.02, 0.11, 0.3)) is False
    assert met(cost(ALL, 0.9)) is None
    assert met(cost(ONE_PERCENT)) is None


def test_spans_are_counted_by_what_the_sidecar_says() -> None:
    exposition = b'# TYPE x counter\nx_total{a="1"} 3.0\nx_total{a="2"} 4.0 1.5\nx_total_other 9\ny_total 2.0\n'
    assert sample_sum(exposition, "x_total") == 7
    assert sample_sum(exposition, "y_total") == 2
    assert sample_sum(exposition, "z_total") == 0
    assert account(JSON, ALL, (10, 1), (30, 4)) == Spans("json-32", ALL, 20, 3)


def test_the_collector_takes_what_it_is_sent() -> None:
    body = ExportTraceServiceRequest().SerializeToString()
    with start_collector() as port:
        for path in ("traces", "metrics"):
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/{path}", body, method="POST")
            with urllib.request.urlopen(request, timeout=10) as response:
                assert response.status == 200


def test_the_table() -> None:
    costs = [cost(OFF, 0.0, 0.0, 0.0), cost(ONE_PERCENT, 0.01, 0.02, 0.03), replace(cost(ALL, 0.4), errors=2)]
    result = OtelResult(costs, [Spans("json-1", ALL, 12_345, 6)], [Start(OFF, 0.912, 67_000_000)])
    lines = [line.split() for line in render_otel(result).splitlines()]
    assert lines[1] == ["json-1", "off", "900", "300.0", "1.00", "2.00", "0"]
    one = "json-1 1% 900 300.0 6.0 3.0 to 9.0 +2.0 % +1.0 % to +3.0 % met 1.00 2.00 0"
    assert lines[2] == one.split()
    every = "json-1 100% 900 300.0 120.0 120.0 to 120.0 +40.0 % +40.0 % to +40.0 % 1.00 2.00 2"
    assert lines[3] == every.split()
    assert lines[6] == ["json-1", "100%", "12,345", "6"]
    assert lines[9] == ["off", "0.91", "67"]
