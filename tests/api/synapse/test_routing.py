"""Decisions, availability, and the orchestrator."""

from __future__ import annotations

import pytest

from exporter.live.decisions import LARGEST_SCORE
from exporter.record import Complexity
from exporter.system.availability import Availability
from tests.api.synapse.desk import Desk, decision, model, request, seen, server, slot

SIMPLE, MODERATE, COMPLEX = Complexity


async def test_a_request_counts_where_it_went() -> None:
    desk = Desk()
    desk.live.record(request(tier="Q4", decision=decision(SIMPLE, "Q2", score=1.005, fallback=True, seconds=0.002)))
    desk.live.record(request(tier="Q2", decision=decision(SIMPLE, "Q2", score=2.0, seconds=0.001)))
    desk.live.record(request(tier="Q2", decision=decision(SIMPLE, "Q2", score=None, seconds=0.0)))
    document = await desk.read("routing")
    cells = {(cell["complexity"], cell["tier"]): cell for cell in document["decisionMatrix"]}
    assert (cells["SIMPLE", "Q2"]["count"], cells["SIMPLE", "Q2"]["avgScore"]) == (2, 2.0)
    assert (cells["SIMPLE", "Q4"]["count"], cells["SIMPLE", "Q4"]["avgScore"]) == (1, 1.0)
    assert sum(cell["count"] for cell in cells.values()) == 3
    assert document["accuracyMetrics"] == {"totalDecisions": 3, "avgDecisionTimeMs": 1.0, "fallbackRate": 0.333}


async def test_decision_times_are_those_of_the_last_hundred() -> None:
    desk = Desk()
    for seconds in [1.0] * 50 + [0.01] * 100:
        desk.live.record_decision("Q2", decision(SIMPLE, "Q2", seconds=seconds))
    assert (await desk.read("routing"))["accuracyMetrics"] == {
        "totalDecisions": 150,
        "avgDecisionTimeMs": 10.0,
        "fallbackRate": 0.0,
    }


async def test_decisions_without_scores() -> None:
    desk = Desk()
    desk.live.record_decision("Q3", decision(MODERATE, "Q3", score=None))
    cell = (await desk.read("routing"))["decisionMatrix"][4]
    assert cell == {"complexity": "MODERATE", "tier": "Q3", "count": 1, "avgScore": 0.0}


async def test_scores_without_end() -> None:
    """A client may give any score; their sum can pass what a float holds."""
    desk = Desk()
    for _ in range(2):
        desk.live.record_decision("Q2", decision(SIMPLE, "Q2", score=1.7e308))
    assert (await desk.read("routing"))["decisionMatrix"][0]["avgScore"] == LARGEST_SCORE


async def test_availability() -> None:
    desk = Desk(snapshot=seen(server("Q2", model(tier="Q2"))))
    desk.configured = {"Q2": 2}
    assert (await desk.read("routing"))["modelAvailability"] == [
        {"tier": "Q2", "available": 1, "total": 2},
        {"tier": "Q3", "available": 0, "total": 0},
        {"tier": "Q4", "available": 0, "total": 0},
    ]


@pytest.mark.parametrize(
    ("known", "shown"), [(Availability(None, 3), (0, 3)), (Availability(5, 3), (3, 3)), (Availability(0, 0), (0, 0))]
)
async def test_never_more_than_there_are(known: Availability, shown: tuple[int, int]) -> None:
    desk = Desk(availability=lambda: {"Q3": known})
    entry = (await desk.read("routing"))["modelAvailability"][1]
    assert (entry["available"], entry["total"]) == shown


async def test_utilization_is_that_of_slots() -> None:
    busy = model("a", tier="Q2", slots=(slot(0, busy=True), slot(1, busy=False), slot(2, busy=False)))
    full = model("b", tier="Q4", total_slots=2, requests_processing=5)
    desk = Desk(snapshot=seen(server("one", busy, full), server("two", model("c", tier="Q3"))))
    for upstream, tier in (("one", "Q2"), ("one", "Q4"), ("one", "Q4")):
        desk.begin(upstream, tier=tier)
    desk.begin("one", tier="Q2").inference = False
    desk.serve(tier="Q3")
    assert (await desk.read("orchestrator"))["tierUtilization"] == [
        {"tier": "Q2", "utilizationPercent": 33, "activeRequests": 1, "totalProcessed": 0},
        {"tier": "Q3", "utilizationPercent": 0, "activeRequests": 0, "totalProcessed": 1},
        {"tier": "Q4", "utilizationPercent": 100, "activeRequests": 2, "totalProcessed": 0},
    ]


async def test_recent_decisions_keep_their_names() -> None:
    desk = Desk()
    for number in range(12):
        desk.clock.now += 1
        desk.live.record_decision("Q2", decision(SIMPLE, "Q2", score=number / 3))
    first = (await desk.read("orchestrator"))["recentDecisions"]
    assert len(first) == 10
    assert first[0] == {
        "id": "dec-0000000c",
        "query": "",
        "tier": "Q2",
        "complexity": "SIMPLE",
        "timestamp": "2026-11-20T08:32:42.000Z",
        "score": 3.67,
    }
    assert first[-1]["id"] == "dec-00000003"
    desk.live.record_decision("Q2", decision(SIMPLE, "Q2"))
    second = (await desk.read("orchestrator"))["recentDecisions"]
    assert second[1:] == first[:-1]


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (34, 33, 33)),
        ((2, 0, 1), (67, 0, 33)),
        ((1, 0, 0), (100, 0, 0)),
        ((1, 998, 1), (0, 100, 0)),
    ],
)
async def test_complexities_add_up(counts: tuple[int, int, int], shown: tuple[int, int, int]) -> None:
    desk = Desk()
    for complexity, count in zip(Complexity, counts, strict=True):
        for _ in range(count):
            desk.live.record_decision("Q8", decision(complexity, "Q8"))
    document = await desk.read("orchestrator")
    assert tuple(document["complexityDistribution"].values()) == shown
    assert document["totalDecisions"] == sum(counts)
