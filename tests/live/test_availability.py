"""What applications say of their tiers."""

from __future__ import annotations

from exporter.live.availability import TIER_LIMIT, RecordedAvailability
from exporter.system.availability import Availability


def test_the_last_word_counts() -> None:
    recorded = RecordedAvailability()
    recorded.record("Q2", Availability(1, 3))
    recorded.record("Q2", Availability(2, 3))
    assert recorded.tiers() == {"Q2": Availability(2, 3)}


def test_the_oldest_word_makes_room() -> None:
    recorded = RecordedAvailability()
    for number in range(TIER_LIMIT):
        recorded.record(f"t{number}", Availability(1, 1))
    recorded.record("t0", Availability(0, 1))
    recorded.record("one more", Availability(1, 1))
    assert len(recorded.tiers()) == TIER_LIMIT
    assert "t1" not in recorded.tiers()
    assert recorded.tiers()["t0"] == Availability(0, 1)
