"""What applications tell, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exporter.api import documents
from exporter.api.synapse.recording import BODY_LIMIT_BYTES
from exporter.live.availability import TIER_LIMIT
from exporter.record import Complexity, Decision, Outcome, RoutingReason, TokenSource
from tests.api.synapse.desk import Desk
from tests.api.synapse.strict import check_error, check_recorded, read
from tests.api.views import WALL

QUERY = {"tier": "Q3", "latency_ms": 2350.5}
DECISION = {"complexity": "MODERATE", "tier": "Q3", "score": 5.2, "decision_time_ms": 12.5}
MODELS = {"tier": "Q2", "available": 2, "total": 3}
KINDS: dict[str, dict[str, Any]] = {"query": QUERY, "routing": DECISION, "availability": MODELS}


@pytest.mark.parametrize("kind", KINDS)
async def test_taken(kind: str) -> None:
    answer = await Desk().tell(kind, **KINDS[kind])
    document = read(answer.content)
    check_recorded(document)
    assert (answer.status_code, document) == (202, {"recorded": True})


@pytest.mark.parametrize("kind", KINDS)
async def test_not_taken_where_nothing_is_recorded(kind: str) -> None:
    desk = Desk(recording=False)
    answer = await desk.tell(kind, **KINDS[kind])
    assert (answer.status_code, answer.json()) == (202, {"recorded": False})
    assert desk.intake.records == []
    assert desk.intake.decisions == []
    assert desk.live.recorded_availability.tiers() == {}
    assert (await desk.tell(kind, tier="")).status_code == 400


class TestQuery:
    async def test_all_that_can_be_told(self) -> None:
        desk = Desk()
        await desk.tell("query", **QUERY, tokens_generated=90, generation_time_ms=2000.0, is_error=False)
        (record,) = desk.intake.records
        assert record.started_at == pytest.approx(WALL - 2.3505, rel=0, abs=1e-3)
        assert record.duration_seconds == 2.3505
        assert record.outcome is Outcome.COMPLETED
        assert record.inference
        assert not record.stream
        assert (record.method, record.path, record.operation) == ("POST", "/api/metrics/record/query", "query")
        assert (record.tier, record.upstream, record.provider) == ("Q3", None, "recorded")
        assert (record.output_tokens, record.token_source) == (90, TokenSource.SERVER)
        assert (record.generation_seconds, record.output_tokens_per_second) == (2.0, 45.0)
        assert (record.status_code, record.error_type, record.decision) == (None, None, None)

    async def test_an_error(self) -> None:
        desk = Desk()
        await desk.tell("query", **QUERY, is_error=True)
        (record,) = desk.intake.records
        assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "recorded")

    @pytest.mark.parametrize(
        ("told", "tokens", "generation", "speed"),
        [
            ({}, None, None, None),
            ({"tokens_generated": 0, "generation_time_ms": 500.0}, None, 0.5, None),
            ({"tokens_generated": 10}, 10, None, None),
            ({"tokens_generated": 10, "generation_time_ms": 1e-310}, 10, None, None),
            ({"tokens_generated": 10, "generation_time_ms": 5}, 10, 0.005, 2000.0),
        ],
    )
    async def test_what_was_not_told_is_not_known(
        self, told: dict[str, Any], tokens: int | None, generation: float | None, speed: float | None
    ) -> None:
        desk = Desk()
        assert (await desk.tell("query", **QUERY, **told)).status_code == 202
        (record,) = desk.intake.records
        assert (record.output_tokens, record.generation_seconds) == (tokens, generation)
        assert record.output_tokens_per_second == speed
        assert record.token_source is (TokenSource.SERVER if tokens else None)
        assert record.input_tokens is record.cached_tokens is record.ttft_seconds is None

    async def test_it_shows(self) -> None:
        desk = Desk()
        for failed in (False, True):
            await desk.tell("query", **QUERY, tokens_generated=90, generation_time_ms=2000, is_error=failed)
        desk.clock.now += 10
        queries, tier = await desk.read("queries"), (await desk.read("tiers"))["tiers"][1]
        assert (queries["totalQueries"], queries["avgLatencyMs"], queries["queryRate"][-1]) == (2, 2350.5, 0.2)
        assert queries["tierDistribution"] == {"Q2": 0, "Q3": 2, "Q4": 0}
        assert tier == {
            "name": "Q3",
            "tokensPerSec": [45.0, 45.0],
            "latencyMs": [2350.5, 2350.5],
            "requestCount": 2,
            "errorRate": 0.5,
        }
        historical = await desk.read("historical")
        assert (historical["totalRequests"], historical["totalErrors"]) == (2, 1)
        assert (historical["totalCacheHits"], historical["totalCacheMisses"]) == (0, 0)
        models = await desk.read("models")
        assert models["totalRequests"] == 2
        assert all(model["requestCount"] == 0 for model in models["models"])


class TestRouting:
    async def test_a_decision(self) -> None:
        desk = Desk()
        await desk.tell("routing", **DECISION, is_fallback=True)
        assert desk.intake.decisions == [
            ("Q3", Decision(RoutingReason.COMPLEXITY, Complexity.MODERATE, 5.2, "Q3", True, 0.0125))
        ]
        routing = await desk.read("routing")
        assert routing["decisionMatrix"][4] == {
            "complexity": "MODERATE",
            "tier": "Q3",
            "count": 1,
            "avgScore": 5.2,
        }
        assert routing["accuracyMetrics"] == {"totalDecisions": 1, "avgDecisionTimeMs": 12.5, "fallbackRate": 1.0}
        (recent,) = (await desk.read("orchestrator"))["recentDecisions"]
        assert (recent["tier"], recent["complexity"], recent["query"]) == ("Q3", "MODERATE", "")

    async def test_it_is_no_query(self) -> None:
        desk = Desk()
        await desk.tell("routing", **DECISION)
        assert (await desk.read("queries"))["totalQueries"] == 0


class TestAvailability:
    async def test_the_last_word_counts(self) -> None:
        desk = Desk()
        for available in (3, 1):
            await desk.tell("availability", tier="Q2", available=available, total=3)
        await desk.tell("availability", tier="Q9", available=1, total=1)
        assert (await desk.read("routing"))["modelAvailability"] == [
            {"tier": "Q2", "available": 1, "total": 3},
            {"tier": "Q3", "available": 0, "total": 0},
            {"tier": "Q4", "available": 0, "total": 0},
        ]


BAD: list[tuple[str, dict[str, Any], set[str]]] = [
    ("query", {}, {"tier", "latency_ms"}),
    ("query", {"tier": "Q2"}, {"latency_ms"}),
    ("query", {**QUERY, "latency_ms": -1}, {"latency_ms"}),
    ("query", {**QUERY, "latency_ms": "12"}, {"latency_ms"}),
    ("query", {**QUERY, "latency_ms": None}, {"latency_ms"}),
    ("query", {**QUERY, "latency_ms": True}, {"latency_ms"}),
    ("query", {**QUERY, "latency_ms": 86_400_000.1}, {"latency_ms"}),
    ("query", {**QUERY, "tokens_generated": 1.5}, {"tokens_generated"}),
    ("query", {**QUERY, "tokens_generated": -1}, {"tokens_generated"}),
    ("query", {**QUERY, "tokens_generated": 10**30}, {"tokens_generated"}),
    ("query", {**QUERY, "generation_time_ms": -0.1}, {"generation_time_ms"}),
    ("query", {**QUERY, "is_error": 1}, {"is_error"}),
    ("query", {**QUERY, "latencyMs": 5}, {"latencyMs"}),
    ("query", {**QUERY, "tier": ""}, {"tier"}),
    ("query", {**QUERY, "tier": "x" * 65}, {"tier"}),
    ("query", {**QUERY, "tier": "a\nb"}, {"tier"}),
    ("query", {**QUERY, "tier": " \u2028"}, {"tier"}),
    ("query", {**QUERY, "tier": 2}, {"tier"}),
    ("query", {**QUERY, "tier": "  "}, {"tier"}),
    ("routing", {}, {"tier", "complexity", "score", "decision_time_ms"}),
    ("routing", {**DECISION, "complexity": "simple"}, {"complexity"}),
    ("routing", {**DECISION, "complexity": "HARD"}, {"complexity"}),
    ("routing", {**DECISION, "score": 1000.5, "decision_time_ms": -1}, {"score", "decision_time_ms"}),
    ("routing", {**DECISION, "is_fallback": "no"}, {"is_fallback"}),
    ("availability", {}, {"tier", "available", "total"}),
    ("availability", {**MODELS, "available": 4}, {"total"}),
    ("availability", {**MODELS, "available": -1}, {"available"}),
    ("availability", {**MODELS, "total": 10_001}, {"total"}),
    ("availability", {**MODELS, "available": "many"}, {"available"}),
]


@pytest.mark.parametrize(("kind", "told", "fields"), BAD)
async def test_every_bad_field_is_named(kind: str, told: dict[str, Any], fields: set[str]) -> None:
    desk = Desk()
    answer = await desk.tell(kind, **told)
    document = read(answer.content)
    check_error(document)
    assert (answer.status_code, document["error"]) == (400, "BadRequest")
    assert set(document["details"]) == fields
    assert desk.intake.records == []
    assert desk.intake.decisions == []
    assert desk.live.recorded_availability.tiers() == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"Q2"', b"\xff\xfe", json.dumps([QUERY]).encode(), b"tier=Q2&latency_ms=1"],
)
async def test_what_is_no_object(body: bytes) -> None:
    answer = await Desk().ask("POST", "/api/metrics/record/query", content=body)
    check_error(answer.json())
    assert (answer.status_code, set(answer.json()["details"])) == (400, {"body"})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_what_is_no_number(number: str) -> None:
    body = f'{{"tier": "Q2", "latency_ms": {number}}}'
    answer = await Desk().ask("POST", "/api/metrics/record/query", content=body)
    check_error(answer.json())
    assert answer.status_code == 400


async def test_whole_numbers_are_numbers() -> None:
    """Any JSON writer may leave `.0` out."""
    assert (await Desk().tell("query", tier="Q2", latency_ms=5, generation_time_ms=0)).status_code == 202


@pytest.mark.parametrize("known_length", [True, False])
async def test_long_bodies(known_length: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (BODY_LIMIT_BYTES // 2)

    body = b" " * (BODY_LIMIT_BYTES + 1) if known_length else pieces()
    answer = await Desk().ask("POST", "/api/metrics/record/query", content=body)
    check_error(answer.json())
    assert (answer.status_code, answer.json()["error"]) == (413, "PayloadTooLarge")


async def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "BODY_LIMIT_SECONDS", 0.0)

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"tier":'
        await asyncio.Event().wait()

    answer = await Desk().ask("POST", "/api/metrics/record/query", content=pieces())
    check_error(answer.json())
    assert (answer.status_code, answer.json()["error"]) == (408, "RequestTimeout")
    assert answer.headers["connection"] == "close"


async def test_the_longest_body() -> None:
    body = json.dumps(QUERY).encode().ljust(BODY_LIMIT_BYTES)
    assert (await Desk().ask("POST", "/api/metrics/record/query", content=body)).status_code == 202


async def test_a_client_that_leaves_in_the_middle() -> None:
    """Nothing is recorded, and nothing goes wrong."""
    desk = Desk()
    messages = iter([{"type": "http.request", "body": b'{"tier":', "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/api/metrics/record/query",
        "raw_path": b"/api/metrics/record/query",
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 1),
        "client": None,
        "root_path": "",
    }
    await asyncio.wait_for(desk.app(scope, receive, send), 5)
    assert sent[0]["status"] == 400
    assert desk.intake.records == []


async def test_tiers_are_few() -> None:
    """Each is a label in metrics for ever. Those that are configured are known anyway."""
    desk = Desk()
    for number in range(TIER_LIMIT - len(desk.views.tiers)):
        assert (await desk.tell("availability", tier=f"tier {number}", available=0, total=1)).status_code == 202
    for kind, told in KINDS.items():
        refused = await desk.tell(kind, **{**told, "tier": "one more"})
        assert (refused.status_code, set(refused.json()["details"])) == (400, {"tier"})
        for tier in ("tier 7", *desk.views.tiers):
            assert (await desk.tell(kind, **{**told, "tier": tier})).status_code == 202
    assert len(desk.live.recorded_availability.tiers()) == TIER_LIMIT


async def test_a_number_without_a_fraction_is_whole() -> None:
    desk = Desk()
    assert (await desk.tell("query", **{**QUERY, "tokens_generated": 45.0})).status_code == 202
    assert desk.intake.records[0].output_tokens == 45
