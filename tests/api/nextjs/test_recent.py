"""What was started or stopped over REST a moment ago."""

from __future__ import annotations

from exporter.api.nextjs.recent import LIMIT, Recent
from tests.api.views import Clock


def test_a_moment_is_over_some_time() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note("a")
    assert recent.within("a", 3)
    assert not recent.within("b", 3)
    clock.now += 3
    assert recent.within("a", 3)
    clock.now += 0.5
    assert not recent.within("a", 3)
    recent.note("a")
    assert recent.within("a", 3)


def test_not_more_than_some_are_remembered() -> None:
    recent = Recent(Clock())
    recent.note("first")
    for number in range(LIMIT):
        recent.note("again")
        recent.note(f"{number}")
    assert not recent.within("first", 60)
    assert recent.within("again", 60)
    assert not recent.within("0", 60)
    assert recent.within("2", 60)
