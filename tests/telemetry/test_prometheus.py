import pytest

from exporter.record import GapHistogram, Outcome
from exporter.telemetry import prometheus
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.guard import LIMITS, Guard
from exporter.telemetry.instruments import Counter, CounterSeries, Histogram, HistogramSeries
from exporter.telemetry.prometheus import RequestMetrics, rebin
from tests.telemetry.examples import BUCKETS, CHAT, DOWN, NOTHING_KNOWN, RECORDS, SINGLE, record, request_metrics

R = ("chat", "llama_cpp", "tiny", "Q4", "gpu-0")


def series(metrics: RequestMetrics, name: str) -> dict[tuple[str, ...], CounterSeries | HistogramSeries]:
    (family,) = (family for family in metrics.families() if family.metric.name == name)
    return {each.labels: each for each in family.all()}


def count(metrics: RequestMetrics, name: str, labels: tuple[str, ...]) -> float:
    found = series(metrics, name)[labels]
    return found.value if isinstance(found, CounterSeries) else found.count


def total(metrics: RequestMetrics, name: str, labels: tuple[str, ...]) -> float:
    found = series(metrics, name)[labels]
    assert isinstance(found, HistogramSeries)
    return found.total


def test_a_full_record_feeds_everything() -> None:
    metrics = request_metrics()
    metrics.record(CHAT)
    sums = {
        family.metric.name: family.all()[0].total
        for family in metrics.families()
        if isinstance(family, Histogram) and len(family.all()) == 1
    }
    assert sums == {
        "gen_ai_server_request_duration_seconds": 1.5,
        "gen_ai_server_time_to_first_token_seconds": 0.25,
        "gen_ai_server_time_per_output_token_seconds": 0.125,
        "llm_inter_token_latency_seconds": 1.15,
        "llm_output_tokens_per_second": 8.5,
        "llm_prompt_tokens_per_second": 150.0,
        "llm_queue_time_seconds": 0.0,
        "llm_proxy_overhead_seconds": 0.0003,
        "llm_routing_score": 7.25,
        "llm_routing_decision_duration_seconds": 0.000015,
    }
    assert total(metrics, "gen_ai_client_token_usage", (*R, "input")) == 50
    assert total(metrics, "gen_ai_client_token_usage", (*R, "output")) == 11
    assert count(metrics, "llm_prompt_cached_tokens", R) == 20
    assert count(metrics, "llm_draft_tokens", R) == 8
    assert count(metrics, "llm_draft_tokens_accepted", R) == 5
    assert count(metrics, "llm_requests", (*R, "true", "completed", "200")) == 1
    assert count(metrics, "llm_origin_requests", ("https://chat.example",)) == 1
    assert count(metrics, "llm_request_finish_reasons", (*R, "stop")) == 1
    assert count(metrics, "llm_upstream_attempts", ("gpu-0", "answered")) == 1
    assert count(metrics, "llm_routing_decisions", ("COMPLEX", "Q4", "false")) == 1
    assert count(metrics, "llm_inter_token_latency_seconds", R) == 9


def test_requests_that_share_labels_share_series() -> None:
    metrics = request_metrics()
    for _ in range(3):
        metrics.record(CHAT)
    assert count(metrics, "gen_ai_server_request_duration_seconds", (*R, "")) == 3
    assert count(metrics, "llm_inter_token_latency_seconds", R) == 27
    assert total(metrics, "llm_inter_token_latency_seconds", R) == pytest.approx(3.45)


def test_what_is_unknown_opens_no_series() -> None:
    metrics = request_metrics()
    metrics.record(record(**NOTHING_KNOWN))
    opened = {family.metric.name for family in metrics.families() if family.all()} - {"llm_sidecar_label_overflow"}
    assert opened == {
        "gen_ai_server_request_duration_seconds",
        "llm_requests",
        "llm_origin_requests",
        "llm_upstream_attempts",
    }


def test_zero_is_known() -> None:
    metrics = request_metrics()
    metrics.record(record(cached_tokens=0, output_tokens=0))
    assert count(metrics, "llm_prompt_cached_tokens", R) == 0
    assert count(metrics, "gen_ai_client_token_usage", (*R, "output")) == 1


def test_other_requests_are_only_counted() -> None:
    metrics = request_metrics()
    metrics.record(record(inference=False, operation="tokenize", decision=None))
    opened = {family.metric.name for family in metrics.families() if family.all()} - {"llm_sidecar_label_overflow"}
    assert opened == {"llm_requests", "llm_origin_requests", "llm_upstream_attempts"}


def test_failures_are_told_apart() -> None:
    metrics = request_metrics()
    for each in RECORDS:
        metrics.record(each)
    durations = series(metrics, "gen_ai_server_request_duration_seconds")
    assert {labels[-1] for labels in durations} == {"", "connect_error", "client_gone"}
    requests = series(metrics, "llm_requests")
    assert {labels[5:] for labels in requests} == {
        ("true", "completed", "200"),
        ("false", "upstream_error", "502"),
        ("true", "client_gone", ""),
        ("false", "rejected", "401"),
    }
    assert ("other", "llama_cpp", "unknown", "unknown", "") in {labels[:5] for labels in requests}


def test_labels_that_clients_choose_are_guarded() -> None:
    guard = Guard(limits=dict.fromkeys(LIMITS, 0))
    metrics = request_metrics(guard)
    metrics.record(record(outcome=Outcome.UPSTREAM_ERROR, error_type="odd", finish_reasons=("a", "b")))
    other = (*R[:2], "other", *R[3:])
    assert count(metrics, "gen_ai_server_request_duration_seconds", (*other, "other")) == 1
    assert count(metrics, "llm_request_finish_reasons", (*other, "other")) == 2
    assert count(metrics, "llm_origin_requests", ("other",)) == 1
    assert count(metrics, "llm_sidecar_label_overflow", ("finish_reason",)) == 2


def test_requests_are_counted_by_their_origin() -> None:
    guard = Guard(limits={**LIMITS, "origin": 2})
    metrics = request_metrics(guard)
    sent = ("app", None, "https://app", "app", "another", "x" * 300, None, "another", "app", "https://app")
    for origin in sent:
        metrics.record(record(origin=origin))
    by_label = {
        name: count(metrics, "llm_origin_requests", (name,)) for name in ("app", "https://app", "unknown", "other")
    }
    assert by_label == {"app": 3, "https://app": 2, "unknown": 2, "other": 3}
    assert count(metrics, "llm_sidecar_label_overflow", ("origin",)) == 3
    assert count(metrics, "llm_requests", (*R, "true", "completed", "200")) == len(sent)


def test_a_refused_request_counts_for_a_known_origin_only() -> None:
    metrics = request_metrics()
    refused = {"outcome": Outcome.REJECTED, "error_type": "rejected", "status_code": 401}
    for changes in ({**refused, "origin": "stranger"}, {"origin": "app"}, {**refused, "origin": "app"}):
        metrics.record(record(**changes))
    assert set(series(metrics, "llm_origin_requests")) == {("other",), ("app",)}
    assert count(metrics, "llm_origin_requests", ("app",)) == 2
    assert count(metrics, "llm_sidecar_label_overflow", ("origin",)) == 0


def test_origins_without_end_are_not_kept() -> None:
    metrics = request_metrics()
    for number in range(500):
        metrics.record(record(origin=f"app-{number}"))
        metrics.record(record(origin="y" * 200 + str(number)))
    assert len(series(metrics, "llm_origin_requests")) == 51
    assert len(metrics._by_origin) <= 50


def test_bounds_can_be_chosen() -> None:
    metrics = request_metrics(buckets=Buckets(ttft=(0.2, 0.3)))
    metrics.record(CHAT)
    (ttft,) = series(metrics, "gen_ai_server_time_to_first_token_seconds").values()
    assert isinstance(ttft, HistogramSeries)
    assert ttft.counts == [0, 1, 0]


def test_gaps_over_the_same_bounds_are_taken_as_they_are() -> None:
    assert CHAT.gaps is not None
    assert rebin(CHAT.gaps, BUCKETS.inter_token) is CHAT.gaps.counts


def test_gaps_over_other_bounds_are_never_counted_too_short() -> None:
    gaps = GapHistogram((0.1, 0.2, 0.4), (1, 2, 3, 4), 9.0)
    assert rebin(gaps, (0.1, 0.25, 1.0)) == (1, 2, 3, 4)
    assert rebin(gaps, (0.3,)) == (3, 7)
    metrics = request_metrics()
    metrics.record(record(gaps=gaps))
    assert count(metrics, "llm_inter_token_latency_seconds", R) == 10


def test_answered_health_checks_are_observed() -> None:
    metrics = request_metrics()
    metrics.observe_health(SINGLE)
    metrics.observe_health(DOWN)
    assert set(series(metrics, "llm_upstream_health_check_duration_seconds")) == {("gpu-0",)}
    assert total(metrics, "llm_upstream_health_check_duration_seconds", ("gpu-0",)) == 0.002


def test_forgotten_bundles_go_on_counting_in_the_same_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "BUNDLE_LIMIT", 1)
    metrics = request_metrics()
    for model in ("tiny", "large", "tiny", "large"):
        metrics.record(record(requested_model=model))
    assert count(metrics, "gen_ai_server_time_to_first_token_seconds", R) == 2
    assert count(metrics, "llm_requests", (*R, "true", "completed", "200")) == 2


def test_numbers_of_a_confused_server_are_dropped() -> None:
    metrics = request_metrics()
    metrics.record(
        record(output_tokens_per_second=float("inf"), prompt_tokens_per_second=float("nan"), input_tokens=-1)
    )
    assert count(metrics, "llm_output_tokens_per_second", R) == 0
    assert count(metrics, "llm_prompt_tokens_per_second", R) == 0
    assert count(metrics, "gen_ai_client_token_usage", (*R, "input")) == 0


def test_families_follow_the_catalogue() -> None:
    families = request_metrics().families()
    assert families[0].metric.name == "gen_ai_server_request_duration_seconds"
    assert all(isinstance(family, Counter | Histogram) for family in families)
    assert len(families) == 21


def test_tiers_and_bounds_of_routing_are_passed_on() -> None:
    metrics = request_metrics(buckets=Buckets(score=(5.0, 10.0), decision=(0.5,)), tiers=("Q2", "Q4"))
    assert count(metrics, "llm_routing_decisions", ("SIMPLE", "Q2", "false")) == 0
    metrics.record(CHAT)
    score = series(metrics, "llm_routing_score")["COMPLEX", "Q4"]
    duration = series(metrics, "llm_routing_decision_duration_seconds")[()]
    assert isinstance(score, HistogramSeries)
    assert isinstance(duration, HistogramSeries)
    assert (score.counts, duration.counts) == ([0, 1, 0], [1, 0])


def test_a_request_that_names_no_model_means_the_only_one() -> None:
    metrics = RequestMetrics(Guard(), only_model=lambda upstream: "tiny" if upstream == "gpu-0" else None)
    unnamed = {"requested_model": None, "response_model": None}
    metrics.record(record(**unnamed, upstream="gpu-0"))
    metrics.record(record(**unnamed, upstream="gpu-1"))
    metrics.record(record(**unnamed, upstream="gpu-0", inference=False, operation="health"))
    metrics.record(record(requested_model=None, response_model="told", upstream="gpu-0"))
    (requests,) = (family for family in metrics.families() if family.metric.name == "llm_requests")
    assert [series.labels[2] for series in requests.all()] == ["tiny", "unknown", "unknown", "told"]
