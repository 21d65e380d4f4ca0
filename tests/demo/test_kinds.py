from __future__ import annotations

from exporter.demo.kinds import COUNTABLE_KINDS, DECK, DIRECT_KINDS, LEAVING_KINDS, ROUTED_KINDS, STEADY_KINDS, Kind


def test_every_kind_either_stays_or_leaves_or_needs_a_router() -> None:
    assert sorted([*STEADY_KINDS, *LEAVING_KINDS, *ROUTED_KINDS]) == sorted(Kind)
    assert not DIRECT_KINDS & ROUTED_KINDS
    assert len(DIRECT_KINDS) + len(ROUTED_KINDS) == len(Kind)
    assert COUNTABLE_KINDS < STEADY_KINDS


def test_a_deck_has_every_kind_and_most_questions_are_simple() -> None:
    assert set(DECK) == set(Kind)
    assert min(DECK.values()) >= 1
    routed = [DECK[kind] for kind in (Kind.ROUTED_SIMPLE, Kind.ROUTED_MODERATE, Kind.ROUTED_COMPLEX)]
    assert [count / sum(routed) for count in routed] == [0.6, 0.3, 0.1]
    assert sum(routed) > sum(DECK[kind] for kind in DIRECT_KINDS)
