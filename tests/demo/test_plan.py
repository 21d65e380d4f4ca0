from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import pytest

from exporter.demo.plan import CONVERSATION_TURNS, DECK, LEAVING_KINDS, STEADY_KINDS, Exchange, Kind, exchanges, plan

DECK_SIZE = sum(DECK.values())


def body_of(exchange: Exchange) -> dict[str, object]:
    document = json.loads(exchange.body or b"{}")
    assert isinstance(document, dict)
    return document


def test_equal_seeds_give_equal_plans() -> None:
    assert plan(5, 300) == plan(5, 300)
    assert plan(5, 300) != plan(6, 300)


def test_a_longer_plan_begins_like_a_shorter_one() -> None:
    assert plan(5, 100)[:40] == plan(5, 40)


@pytest.mark.parametrize("seed", range(3))
def test_each_deck_holds_every_kind(seed: int) -> None:
    requests = plan(seed, 3 * DECK_SIZE)
    for begin in range(0, len(requests), DECK_SIZE):
        assert Counter(request.kind for request in requests[begin : begin + DECK_SIZE]) == DECK


def test_kinds_can_be_chosen() -> None:
    assert {request.kind for request in plan(1, 200, STEADY_KINDS)} == STEADY_KINDS
    assert {request.kind for request in plan(1, 10, {Kind.CHAT})} == {Kind.CHAT}
    with pytest.raises(ValueError, match="no kinds"):
        next(exchanges(1, ()))


def test_only_those_who_leave_say_when() -> None:
    for request in plan(2, 3 * DECK_SIZE):
        leaves = request.leave_after_seconds is not None or request.leave_after_chunks is not None
        assert leaves == (request.kind in LEAVING_KINDS)
        assert (request.expected_status is None) == (request.kind is Kind.LEAVE_EARLY)


def test_bodies_ask_for_what_the_description_says() -> None:
    for request in plan(3, 3 * DECK_SIZE, frozenset(Kind) - {Kind.BAD_JSON}):
        assert bool(body_of(request).get("stream")) == request.stream
        assert (request.method == "GET") == (request.body is None)


def test_bad_json_is_bad() -> None:
    for request in plan(3, 5, {Kind.BAD_JSON}):
        with pytest.raises(json.JSONDecodeError):
            json.loads(request.body or b"")


def test_a_conversation_repeats_what_was_said_and_begins_anew_before_the_context_is_full() -> None:
    turns = [body_of(request)["messages"] for request in plan(4, 120, {Kind.CONVERSATION})]
    assert all(isinstance(messages, list) and len(messages) <= 2 * CONVERSATION_TURNS + 2 for messages in turns)
    by_system: dict[str, list[list[object]]] = {}
    for messages in turns:
        assert isinstance(messages, list)
        by_system.setdefault(messages[0]["content"], []).append(messages)
    assert len(by_system) > 3
    for conversation in by_system.values():
        for before, after in pairwise(conversation):
            assert after[: len(before)] == before
            assert len(after) == len(before) + 2


def test_streams_are_asked_for_with_and_without_usage() -> None:
    requests = plan(6, 60, {Kind.CHAT_STREAM})
    assert {"stream_options" in body_of(request) for request in requests} == {True, False}


def test_several_origins_and_none_are_seen() -> None:
    assert len({request.origin for request in plan(7, 200)}) == 4
