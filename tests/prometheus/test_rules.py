"""The recording rules and the expressions of the alerts: what they name exists, and means what they take it for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from exporter.observe import endpoints
from exporter.observe.endpoints import Endpoint
from tests.known_metrics import known_metrics
from tests.prometheus.checks import badly_named, result_has, unasked, unknown_names, unknown_values, with_records
from tests.prometheus.rulebook import Look, Rule, Scene, shipped_records, shipped_rules, shipped_scenes


@pytest.fixture(scope="module")
def known() -> dict[str, frozenset[str]]:
    return with_records(known_metrics(), shipped_records())


def record(name: str, expression: str, **labels: str) -> Rule:
    return Rule(name, expression, "test", alert=False, labels=labels)


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda rule: rule.title)
def test_every_metric_and_label_exists(rule: Rule, known: dict[str, frozenset[str]]) -> None:
    assert unknown_names(rule.expression, known) == []
    assert unknown_values(rule.expression) == []


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("rate(llm_request_total[5m])", "no metric llm_request_total"),
        ("rate(llm_requests[5m])", "no metric llm_requests"),
        ("sum by (model) (llm_requests_in_flight)", "llm_requests_in_flight has no model"),
        ('llm_upstream_up{model="m"}', "llm_upstream_up has no model"),
        ("sum by (tier) (job_tier:llm_requests:rate5m) / on (upstream) llm_upstream_up", "there is no 'upstream' any"),
        (
            "job_tier:llm_requests:rate5m + on (upstream) llm_upstream_up",
            "job_tier:llm_requests:rate5m has no upstream",
        ),
        ("llamacpp:requests_differed > 0", "no metric llamacpp:requests_differed"),
        ("rate(", ""),
    ],
)
def test_a_wrong_name_is_noticed(expression: str, complaint: str, known: dict[str, frozenset[str]]) -> None:
    assert any(complaint in each for each in unknown_names(expression, known))


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ('llm_requests_total{outcome="failed"}', "outcome is never failed"),
        ('llm_requests_total{outcome=~"timeout|strem_error"}', "outcome is never strem_error"),
        ('hw_gpu_throttle_reason{reason="thermal"}', "reason is never thermal"),
        ('llm_upstream_model_state{state="load"}', "state is never load"),
        ('job_slo_tier:llm_sli:ratio1h{slo="speed"}', "slo is never speed"),
        ('gen_ai_server_time_to_first_token_seconds_bucket{le="3"}', "has no bucket 3"),
        ('gen_ai_server_time_to_first_token_seconds_bucket{le="1.0"}', "is written otherwise"),
    ],
)
def test_a_wrong_value_is_noticed(expression: str, complaint: str) -> None:
    assert any(complaint in each for each in unknown_values(expression))


def test_records_know_their_labels(known: dict[str, frozenset[str]]) -> None:
    assert known["job_tier:llm_requests:rate5m"] == {"job", "tier"}
    assert known["job_slo_tier:llm_slo_burn:ratio3d"] == {"job", "slo", "tier"}
    assert known["llm:slo_objective:ratio"] == {"slo"}
    assert known["job_model_tier:llm_requests_failed:rate5m"] == {"job", "tier", "gen_ai_request_model"}


def test_a_record_that_names_what_is_never_recorded_stays_unknown() -> None:
    found = with_records({}, [record("a:b:c", "d:e:f"), record("d:e:f", "a:b:c")])
    assert found == {}


def test_a_record_of_two_rules_has_the_labels_of_both() -> None:
    rules = [record("a:b:c", "sum by (tier) (llm_upstream_up)"), record("a:b:c", "sum(llm_upstream_up)", slo="latency")]
    assert with_records(known_metrics(), rules)["a:b:c"] == frozenset()


def test_names_say_what_the_labels_are(known: dict[str, frozenset[str]]) -> None:
    assert badly_named(shipped_rules(), known) == []


def test_a_bad_name_is_noticed(known: dict[str, frozenset[str]]) -> None:
    alert = Rule("ServerDown", "up == 0", "test", alert=True)
    rules = [
        record("llm_requests_rate5m", "sum(rate(llm_requests_total[5m]))"),
        record("job_tier:llm_requests:rate5m", "sum by (job) (rate(llm_requests_total[5m]))"),
        record("job_slo:llm_requests:rate5m", "sum by (job) (rate(llm_requests_total[5m]))", slo="latency"),
        alert,
        replace(alert, name="LlamaDown"),
    ]
    assert badly_named(rules, known) == [
        "llm_requests_rate5m is not level:metric:operations",
        "job_tier:llm_requests:rate5m has no tier",
        "ServerDown is no name for an alert",
    ]


def test_records_keep_the_job(known: dict[str, frozenset[str]]) -> None:
    """Production and a test installation are told apart by it."""
    mixed = [rule.name for rule in shipped_records() if not rule.name.startswith("llm:")]
    assert len(mixed) > 50
    assert [name for name in mixed if "job" not in known[name]] == []
    assert not result_has(record("a:b:c", "sum(llm_upstream_up)"), "job", known)


def test_objectives_are_recorded_in_one_place() -> None:
    objectives = [rule for rule in shipped_records() if rule.name == "llm:slo_objective:ratio"]
    assert {rule.labels["slo"]: rule.expression for rule in objectives} == {
        "availability": "vector(0.99)",
        "latency": "vector(0.95)",
    }
    assert {rule.group for rule in objectives} == {"llama-objectives"}


def test_availability_counts_every_operation_that_runs_a_model() -> None:
    """And the queries that applications record, which are no operation of the proxy's."""
    tables = [each for each in vars(endpoints).values() if isinstance(each, dict)]
    running = {
        each.operation for table in tables for each in table.values() if isinstance(each, Endpoint) and each.inference
    }
    assert len(running) > 5
    named_operations = [
        set(match.split("|"))
        for rule in shipped_records()
        if rule.labels.get("slo") == "availability"
        for match in re.findall(r'gen_ai_operation_name=~"([^"]*)"', rule.expression)
    ]
    assert named_operations == [running | {"query"}] * 2


def test_every_record_is_tested() -> None:
    assert unasked(shipped_rules(), shipped_scenes()) == []


def test_a_record_without_a_test_would_be_noticed() -> None:
    used = [record("a:b:c", "up"), record("d:e:f", "a:b:c"), record("g:h:i", "up")]
    alert = Rule("LlamaLow", "d:e:f < 1", "test", alert=True)
    look = Look(0.0, "LlamaLow", ())
    assert unasked([*used, alert], [Scene("", (), (look,), ())]) == ["g:h:i"]
    assert unasked([*used, alert], [Scene("", (), (), ("g:h:i > 0",))]) == ["a:b:c", "d:e:f"]
