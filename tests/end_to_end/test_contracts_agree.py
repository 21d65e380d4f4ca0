"""All contracts and `/metrics` tell the same of the same traffic, over real engines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from exporter.demo.traffic import ClientView, Kind, plan, play_all
from tests.end_to_end.outage import TIERS, started
from tests.end_to_end.sidecar import Metrics

REQUESTS, USERS = 240, 8
DURATION = "gen_ai_server_request_duration_seconds"
TOKENS = "gen_ai_client_token_usage_sum"
FAILURES = ("upstream_error", "stream_error", "timeout", "rejected")


@dataclass(frozen=True, slots=True)
class Told:
    """What everybody said when the traffic was over."""

    views: list[ClientView]
    metrics: Metrics
    json: dict[str, Any]
    totals: dict[str, Any]


@pytest.fixture(scope="module")
def told(tiny_model: Path) -> Iterator[Told]:
    with started(dict.fromkeys(TIERS, tiny_model)) as (_, sidecar):
        views = asyncio.run(play_all(sidecar.proxy, plan(11, REQUESTS, frozenset(Kind)), users=USERS))
        sidecar.wait_until(lambda: sidecar.metrics().sum("llm_requests_total") >= len(views))
        paths = [
            "/api/metrics",
            *(f"/api/metrics/{part}" for part in ("queries", "tiers", "resources", "routing", "historical")),
            "/api/models/status",
            "/metrics/active-requests",
        ]
        with httpx.Client(base_url=sidecar.admin) as client:
            documents = {path: client.get(path).raise_for_status().json() for path in paths}
            totals = yaml.safe_load(client.get("/metrics/running-totals").raise_for_status().text)
        yield Told(views, sidecar.metrics(), documents, totals)


def asked_models(told: Told, **labels: str) -> float:
    """Requests that asked a model for something, as Prometheus is told."""
    return told.metrics.sum(f"{DURATION}_count", **labels)


def failures(told: Told, **labels: str) -> float:
    """Of these, the ones that failed."""
    operations = {s.labels["gen_ai_operation_name"] for s in told.metrics.samples if s.name == f"{DURATION}_count"}
    return sum(
        told.metrics.sum("llm_requests_total", gen_ai_operation_name=operation, outcome=outcome, **labels)
        for operation in operations
        for outcome in FAILURES
    )


def test_there_was_something_to_tell(told: Told) -> None:
    assert asked_models(told) > REQUESTS / 2
    assert failures(told) > 0
    assert told.metrics.sum("llm_requests_total", outcome="client_gone") > 0


def test_requests(told: Told) -> None:
    whole = asked_models(told)
    assert told.json["/api/metrics"]["metrics"]["totalRequests"] == whole
    assert told.json["/api/metrics/queries"]["totalQueries"] == whole
    assert told.json["/api/metrics/historical"]["totalRequests"] == whole
    assert told.json["/api/models/status"]["totalRequests"] == whole
    assert told.totals["summary"]["total_requests"] == whole
    assert sum(tier["requestCount"] for tier in told.json["/api/metrics/tiers"]["tiers"]) <= whole


@pytest.mark.parametrize("tier", TIERS)
def test_requests_and_failures_by_tier(told: Told, tier: str) -> None:
    requests = asked_models(told, tier=tier)
    assert requests > 0
    assert told.json["/api/metrics/queries"]["tierDistribution"][tier] == requests
    row = next(row for row in told.json["/api/metrics/tiers"]["tiers"] if row["name"] == tier)
    assert row["requestCount"] == requests
    assert row["errorRate"] == pytest.approx(failures(told, tier=tier) / requests, abs=0.0006)


def test_failures(told: Told) -> None:
    assert told.totals["summary"]["total_errors"] == failures(told)
    assert told.json["/api/metrics/historical"]["totalErrors"] == failures(told)


def test_tokens(told: Told) -> None:
    summary = told.totals["summary"]
    assert summary["total_input_tokens"] == told.metrics.sum(TOKENS, gen_ai_token_type="input") > 0
    assert summary["total_output_tokens"] == told.metrics.sum(TOKENS, gen_ai_token_type="output") > 0
    assert summary["cache_read_tokens"] == told.metrics.sum("llm_prompt_cached_tokens_total")


def test_durations(told: Told) -> None:
    milliseconds = told.metrics.sum(f"{DURATION}_sum") * 1000
    mean = milliseconds / asked_models(told)
    assert told.totals["summary"]["total_duration_ms"] == pytest.approx(milliseconds, abs=1)
    assert told.json["/api/metrics"]["metrics"]["avgResponseTime"] == pytest.approx(mean, abs=0.01)
    assert told.json["/api/metrics/queries"]["avgLatencyMs"] == pytest.approx(mean, abs=0.01)


def test_models(told: Told) -> None:
    """Each tier has one model, and `auto` stands under the one that was chosen."""
    models = told.totals["providers"]["llama_cpp"]["models"]
    for tier in TIERS:
        sums = next(sums for name, sums in models.items() if name.endswith(tier.lower()))["total"]
        assert sums["requests"] == asked_models(told, tier=tier)
        assert sums["output_tokens"] == told.metrics.sum(TOKENS, gen_ai_token_type="output", tier=tier)
    assert sum(sums["total"]["requests"] for sums in models.values()) == asked_models(told)


def test_the_decision_matrix(told: Told) -> None:
    routing = told.json["/api/metrics/routing"]
    cells = routing["decisionMatrix"]
    assert len(cells) == 9
    for cell in cells:
        labels = {"complexity": cell["complexity"], "tier": cell["tier"]}
        assert cell["count"] == told.metrics.sum("llm_routing_decisions_total", **labels)
    decisions = told.metrics.sum("llm_routing_decisions_total")
    assert routing["accuracyMetrics"]["totalDecisions"] == sum(cell["count"] for cell in cells) == decisions > 0
    fallbacks = told.metrics.sum("llm_routing_decisions_total", fallback="true")
    assert routing["accuracyMetrics"]["fallbackRate"] == pytest.approx(fallbacks / decisions, abs=0.0006)


def test_availability(told: Told) -> None:
    for row in told.json["/api/metrics/routing"]["modelAvailability"]:
        assert row["available"] == told.metrics.sum("llm_tier_models_available", tier=row["tier"]) == 1
        assert row["total"] == told.metrics.sum("llm_tier_models_configured", tier=row["tier"])


def test_nobody_is_in_flight_any_more(told: Told) -> None:
    assert told.json["/metrics/active-requests"]["active_requests"] == []
    assert told.totals["summary"]["active_requests"] == told.metrics.sum("llm_requests_in_flight") == 0
