"""What applications say of their tiers, and for how long it counts."""

from __future__ import annotations

from exporter.live.availability import LIFETIME_SECONDS, TIER_LIMIT, RecordedAvailability
from exporter.system.availability import Availability
from tests.live.queries import NOW


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def test_the_last_word_counts() -> None:
    recorded = RecordedAvailability(Clock())
    recorded.record("Q2", Availability(1, 3))
    recorded.record("Q2", Availability(2, 3))
    assert recorded.tiers() == {"Q2": Availability(2, 3)}


def test_a_word_counts_for_ten_minutes() -> None:
    clock = Clock()
    recorded = RecordedAvailability(clock)
    recorded.record("Q2", Availability(1, 3))
    clock.now += 100
    recorded.record("Q3", Availability(1, 1))
    clock.now = NOW + LIFETIME_SECONDS - 1
    assert set(recorded.tiers()) == {"Q2", "Q3"}
    clock.now = NOW + LIFETIME_SECONDS
    assert set(recorded.tiers()) == {"Q3"}
    recorded.record("Q2", Availability(3, 3))
    assert recorded.tiers()["Q2"] == Availability(3, 3)


def test_the_oldest_word_makes_room() -> None:
    recorded = RecordedAvailability(Clock())
    for number in range(TIER_LIMIT):
        recorded.record(f"t{number}", Availability(1, 1))
    recorded.record("t0", Availability(0, 1))
    recorded.record("one more", Availability(1, 1))
    assert len(recorded.tiers()) == TIER_LIMIT
    assert "t1" not in recorded.tiers()
    assert recorded.tiers()["t0"] == Availability(0, 1)
