"""How a period is cut into steps."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.store.spans import ALWAYS_US, DAY, HOUR, MINUTE, STEPS, Span, cut
from tests.store.requests import DAY_US, HOUR_US, MIDNIGHT_US, MINUTE_US, SECOND_US

moments = st.one_of(
    st.integers(0, ALWAYS_US),
    st.builds(
        lambda day, hour, minute, offset: max(0, day * DAY_US + hour * HOUR_US + minute * MINUTE_US + offset),
        st.sampled_from([0, 1, 20_777, 20_778]),
        st.sampled_from([0, 1, 23]),
        st.sampled_from([0, 1, 59]),
        st.sampled_from([-1, 0, 1]) | st.integers(-MINUTE_US, MINUTE_US),
    ),
)


@given(moments, moments)
def test_all_of_it_once_in_few_spans(start: int, end: int) -> None:
    spans = list(cut(start, end))
    assert [span.start_us for span in spans] == [start, *(span.end_us for span in spans)][: len(spans)]
    if spans:
        assert spans[-1].end_us == end
    else:
        assert start >= end
    assert len(spans) <= 7  # single requests, minutes, hours, days, hours, minutes, single requests
    for span in spans:
        assert span.start_us < span.end_us
        if span.step:
            assert span.start_us % (span.step * SECOND_US) == span.end_us % (span.step * SECOND_US) == 0
        else:
            assert span.end_us - span.start_us < 2 * MINUTE_US
    assert sum(span.end_us - span.start_us for span in spans if span.step == 0) < 2 * MINUTE_US
    assert sum((span.end_us - span.start_us) // MINUTE_US for span in spans if span.step == MINUTE) < 2 * 60
    assert sum((span.end_us - span.start_us) // HOUR_US for span in spans if span.step == HOUR) < 2 * 24


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 0, []),
        (5, 4, []),
        (0, ALWAYS_US, [Span(DAY, 0, ALWAYS_US)]),
        (MIDNIGHT_US, MIDNIGHT_US + 1, [Span(0, MIDNIGHT_US, MIDNIGHT_US + 1)]),
        (MIDNIGHT_US, MIDNIGHT_US + MINUTE_US, [Span(MINUTE, MIDNIGHT_US, MIDNIGHT_US + MINUTE_US)]),
        (
            MIDNIGHT_US - HOUR_US - 1,
            MIDNIGHT_US + DAY_US + 1,
            [
                Span(0, MIDNIGHT_US - HOUR_US - 1, MIDNIGHT_US - HOUR_US),
                Span(HOUR, MIDNIGHT_US - HOUR_US, MIDNIGHT_US),
                Span(DAY, MIDNIGHT_US, MIDNIGHT_US + DAY_US),
                Span(0, MIDNIGHT_US + DAY_US, MIDNIGHT_US + DAY_US + 1),
            ],
        ),
    ],
)
def test_examples(start: int, end: int, expected: list[Span]) -> None:
    assert list(cut(start, end)) == expected


def test_the_end_of_all_times_is_a_midnight() -> None:
    assert datetime.fromtimestamp(ALWAYS_US // SECOND_US - 1, UTC).isoformat() == "9999-12-31T23:59:59+00:00"
    assert all(larger % smaller == 0 for larger, smaller in pairwise(STEPS))
