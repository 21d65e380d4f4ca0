from __future__ import annotations

import json

import pytest

from exporter.record import Complexity
from exporter.routing.complexity import Scorer
from exporter.settings.complexity import ComplexitySettings
from tests.bench.load import Sample, request_bytes
from tests.bench.routing import MESSAGES, Pair, compare, mean_us, plan
from tests.bench.scrape import sample_value
from tests.bench.table import render_routing
from tests.bench.targets import PROXY_COMMAND, Target, routed_command


def sample(cpu: float, answers: float, errors: int = 0) -> Sample:
    failures = {"connection lost": errors} if errors else {}
    return Sample(1.0, cpu, answers, int(answers), 0, 0.001, 0.002, 0.001, None, None, failures)


def test_there_is_a_question_for_each_tier() -> None:
    scorer = Scorer(ComplexitySettings())
    assert [scorer.level(scorer.score(text)) for text in MESSAGES] == list(Complexity)
    assert all(18 <= len(text.split()) <= 22 for text in MESSAGES)


def test_both_get_the_same_load() -> None:
    one, three = (plan(Target("x", port, (7,)), 32, 0.8) for port in (1, 1))
    assert one == three
    bodies = [json.loads(request_bytes(one, number).partition(b"\r\n\r\n")[2]) for number in range(3)]
    assert {body["model"] for body in bodies} == {"auto"}
    assert tuple(body["messages"][0]["content"] for body in bodies) == MESSAGES


def test_the_commands_differ_in_the_upstreams_alone() -> None:
    several = "--upstream Q2=http://127.0.0.1:1 --upstream Q3=http://127.0.0.1:2 --upstream Q4=http://127.0.0.1:3"
    assert routed_command([1, 2, 3]) == PROXY_COMMAND.replace("--upstream http://127.0.0.1:{upstream_port}", several)
    assert several in routed_command([1, 2, 3])


def test_rounds_are_compared_one_by_one() -> None:
    # A slow second round: 10 %, 20 % and 12 % more, whatever the medians of either are.
    pair = Pair(
        [sample(0.3, 1000), sample(0.6, 1000), sample(0.25, 1000)],
        [sample(0.33, 1000), sample(0.72, 1000, errors=2), sample(0.28, 1000)],
    )
    found = compare("json-1", pair)
    assert found.one_us is not None
    assert found.one_us.value == pytest.approx(300)
    assert found.differences == pytest.approx((0.1, 0.2, 0.12))
    assert found.difference == pytest.approx(0.12)
    assert found.interval == pytest.approx((0.1, 0.2))
    assert (found.met, found.errors) == (True, 2)
    text = render_routing([found])
    assert "+12.0 %" in text
    assert "+10.0 % to +20.0 %" in text
    assert " met" in text
    slower = compare("json-1", Pair([sample(0.3, 1000)], [sample(0.36, 1000)]))
    assert slower.met is False
    assert "NOT MET" in render_routing([slower])


def test_nothing_is_compared_with_a_round_without_answers() -> None:
    found = compare("json-1", Pair([sample(0.0, 0)], [sample(0.3, 1000)]))
    assert (found.differences, found.difference, found.met) == ((), None, None)


def test_decisions_are_read_from_the_metrics() -> None:
    exposition = (
        b'# TYPE x_seconds histogram\nx_seconds_count{a="b"} 9\nx_seconds_count 3.0\nx_seconds_sum 0.00015 1.5\n'
    )
    assert sample_value(exposition, "x_seconds_count") == 3
    assert sample_value(exposition, "x_seconds_sum") == 0.00015
    assert sample_value(exposition, "x_seconds") is None
    assert mean_us((1, 0.0001), (3, 0.00018)) == pytest.approx(40)
    assert mean_us((1, 0.0001), (1, 0.0001)) is None
