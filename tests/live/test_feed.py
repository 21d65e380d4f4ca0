"""What counts of a record, and where."""

from __future__ import annotations

import pytest

from exporter.live.feed import Live
from exporter.record import Outcome, RoutingReason
from tests.live.queries import NOW, WALL
from tests.telemetry.examples import DECISION, record


def live() -> Live:
    return Live(lambda record: record.requested_model or "unknown", clock=lambda: NOW, wall=lambda: WALL)


def test_a_finished_request_is_counted_everywhere_once() -> None:
    feed = live()
    feed.record(record(started_at=WALL, served_model="tiny-q4"))
    assert feed.windows.sums(NOW, WALL).by_tier == {"Q4": 1}
    assert feed.history.tiers["Q4"].queries == 1
    assert feed.history.models["gpu-0", "tiny-q4"].queries == 1
    sums = feed.totals.providers["llama_cpp"]["tiny-q4"].streamed
    assert (sums.requests, sums.input_tokens, sums.output_tokens, sums.cached_tokens) == (1, 50, 11, 20)
    assert feed.decisions.total == 1


@pytest.mark.parametrize(
    ("requested", "reason", "served", "resolved"),
    [
        ("auto", RoutingReason.COMPLEXITY, "tiny-q2", "tiny-q2"),
        ("auto", RoutingReason.TIER, "tiny-q2", "tiny-q2"),
        (None, None, "tiny-q2", "tiny-q2"),
        ("llama3.1:8b", RoutingReason.MODEL, "tiny-q2", "llama3.1:8b"),
        ("llama3.1:8b", None, "tiny-q2", "llama3.1:8b"),
        ("auto", RoutingReason.COMPLEXITY, None, "auto"),
        (None, None, None, "unknown"),
    ],
)
def test_totals_stand_under_what_was_chosen_where_the_choice_was_ours(
    requested: str | None, reason: RoutingReason | None, served: str | None, resolved: str
) -> None:
    feed = live()
    decision = None if reason is None else DECISION._replace(reason=reason)
    feed.record(record(requested_model=requested, decision=decision, served_model=served))
    assert list(feed.totals.providers["llama_cpp"]) == [resolved]


def test_what_runs_no_model_does_not_count() -> None:
    feed = live()
    feed.record(record(operation="other", inference=False, decision=None))
    assert feed.windows.sums(NOW, WALL).queries == 0
    assert not feed.history.tiers
    assert feed.totals.whole().requests == 0


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (Outcome.COMPLETED, 0),
        (Outcome.CLIENT_GONE, 0),
        (Outcome.UPSTREAM_ERROR, 1),
        (Outcome.STREAM_ERROR, 1),
        (Outcome.TIMEOUT, 1),
        (Outcome.REJECTED, 1),
    ],
)
def test_a_client_that_left_has_not_been_failed(outcome: Outcome, failed: int) -> None:
    feed = live()
    feed.record(record(outcome=outcome))
    assert feed.totals.whole().failed == failed
    assert feed.history.tiers["Q4"].failed == failed


def test_what_is_not_known_adds_nothing() -> None:
    feed = live()
    feed.record(record(input_tokens=None, output_tokens=None, cached_tokens=None, output_tokens_per_second=None))
    sums = feed.totals.whole()
    assert (sums.requests, sums.input_tokens, sums.output_tokens, sums.cached_tokens) == (1, 0, 0, 0)


def test_decisions_of_applications_count_like_our_own() -> None:
    feed = live()
    feed.record_decision("Q4", DECISION)
    assert feed.decisions.total == 1
    assert feed.decisions.newest[0].wall == WALL
