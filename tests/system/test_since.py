"""Since when upstreams have been up, or not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from exporter.system.since import Since


def test_only_a_change_begins_anew() -> None:
    since = Since()
    assert since.since() == {}
    for wall, up in ((10.0, False), (15.0, False), (20.0, True), (25.0, True)):
        since.note("a", up=up, wall=wall)
    since.note("b", up=True, wall=22.0)
    assert since.since() == {"a": 20.0, "b": 22.0}
    since.note("a", up=False, wall=30.0)
    assert since.since() == {"a": 30.0, "b": 22.0}


@given(st.lists(st.booleans(), min_size=1))
def test_it_is_the_first_of_the_looks_that_saw_the_same(looks: list[bool]) -> None:
    since = Since()
    for moment, up in enumerate(looks):
        since.note("a", up=up, wall=float(moment))
    first = int(since.since()["a"])
    assert len(set(looks[first:])) == 1
    assert first == 0 or looks[first - 1] is not looks[first]


def test_what_was_told_is_not_changed_afterwards() -> None:
    since = Since()
    since.note("a", up=True, wall=1.0)
    told = since.since()
    since.note("a", up=False, wall=2.0)
    assert told == {"a": 1.0}
