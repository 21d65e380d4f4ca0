from __future__ import annotations

from tests.bench.cases import CASES, select


def test_everything_is_chosen_by_default() -> None:
    assert select([]) == list(CASES)


def test_a_stream_brings_the_json_case_that_it_builds_on() -> None:
    assert [case.name for case in select(["stream-32"])] == ["json-32", "stream-32"]
    assert [case.name for case in select(["idle", "upload"])] == ["upload-8", "idle-1000"]
    assert select(["gap"]) == []


def test_base_cases_have_as_many_connections() -> None:
    connections = {case.name: case.connections for case in CASES}
    bases = {case.name: case.base for case in CASES if case.base}
    assert all(connections[name] == connections[base] for name, base in bases.items())
    assert set(bases) == {case.name for case in CASES if case.contents and not case.steady}


def test_steady_streams_outlast_the_measured_interval() -> None:
    for case in CASES:
        if case.steady:
            plan = case.plan(80, (), 1.0)
            shortest = (case.chunks - 1) * case.pace_seconds
            assert plan.warmup_seconds > case.ramp_seconds
            assert plan.warmup_seconds + plan.seconds < shortest


def test_a_plan_says_it_all() -> None:
    (case,) = (case for case in CASES if case.name == "stream-32")
    plan = case.plan(8001, (1, 2), 1.5)
    assert plan.target == "/v1/chat/completions?n=64&ms=10"
    assert (plan.port, plan.pids, plan.seconds, plan.connections, plan.stream) == (8001, (1, 2), 1.5, 32, True)


def test_targets_are_set_where_they_can_be_measured() -> None:
    limits = {case.name: case.limit for case in CASES}
    assert {name for name, limit in limits.items() if limit is None} == {"no-traffic", "burst-32", "upload-8"}
    assert {limits[case.name] for case in CASES if case.pace_seconds} == {2.5}
    assert {limits[name] for name in limits if name.startswith("json")} == {18.0}
