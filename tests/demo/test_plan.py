from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise
from typing import Any

import pytest

from exporter.demo.kinds import DECK, DIRECT_KINDS, LEAVING_KINDS, ROUTED_KINDS, STEADY_KINDS, Kind
from exporter.demo.plan import CONVERSATION_TURNS, ORIGINS, QUESTIONS, Exchange, exchanges, plan

DECK_SIZE = sum(count for kind, count in DECK.items() if kind in DIRECT_KINDS)


def body_of(exchange: Exchange) -> dict[str, Any]:
    document = json.loads(exchange.body or b"{}")
    assert isinstance(document, dict)
    return document


def test_equal_seeds_give_equal_plans() -> None:
    assert plan(5, 300) == plan(5, 300)
    assert plan(5, 300) != plan(6, 300)


def test_a_longer_plan_begins_like_a_shorter_one() -> None:
    assert plan(5, 100)[:40] == plan(5, 40)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kinds", [DIRECT_KINDS, frozenset(Kind)], ids=["direct", "all"])
def test_each_deck_holds_every_kind(seed: int, kinds: frozenset[Kind]) -> None:
    deck = {kind: DECK[kind] for kind in kinds}
    size = sum(deck.values())
    requests = plan(seed, 3 * size, kinds)
    for begin in range(0, len(requests), size):
        assert Counter(request.kind for request in requests[begin : begin + size]) == deck


def test_kinds_can_be_chosen() -> None:
    assert {request.kind for request in plan(1, 200, STEADY_KINDS)} == STEADY_KINDS
    assert {request.kind for request in plan(1, 10, {Kind.CHAT})} == {Kind.CHAT}
    with pytest.raises(ValueError, match="no kinds"):
        next(exchanges(1, ()))


def test_what_needs_a_router_is_left_out_unless_it_is_asked_for() -> None:
    assert {request.kind for request in plan(1, 2 * DECK_SIZE)} == DIRECT_KINDS


@pytest.mark.parametrize("kind", sorted(ROUTED_KINDS))
def test_routed_kinds_leave_the_model_to_the_router_and_ask_what_they_say(kind: Kind) -> None:
    asked = plan(8, 40, {kind})
    assert {body_of(request)["model"] for request in asked} == {"auto"}
    assert {request.stream for request in asked} == {True, False}
    assert {request.expected_status for request in asked} == {200}
    messages = [body_of(request)["messages"] for request in asked]
    assert all(isinstance(each, list) and len(each) == 1 and each[0]["content"] in QUESTIONS[kind] for each in messages)


def test_another_model_is_named_by_all_who_name_one_and_nothing_else_changes() -> None:
    usual, other = (list(islice(exchanges(9, frozenset(Kind), model=name), 300)) for name in ("tiny", 'a "b"'))
    assert [replace(request, body=None) for request in usual] == [replace(request, body=None) for request in other]
    for one, two in zip(usual, other, strict=True):
        assert b'"tiny"' not in (two.body or b"")
        if one.body is not None and b'"model":"tiny"' in one.body:
            assert two.body == one.body.replace(b'"tiny"', rb'"a \"b\""')
        else:
            assert two.body == one.body


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


def test_origins_differ_in_how_often_they_are_seen_and_some_have_none() -> None:
    counts = Counter(request.origin for request in plan(7, 1200))
    assert [origin for origin, _ in counts.most_common()] == list(ORIGINS)
