"""What clients ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.completions.queries import PAGE, PERIOD, PageQuery, read_page_query, read_period
from exporter.api.past import BadQueryError
from exporter.dates import DAY_US, read_date
from exporter.store.figures import Period

DAY = read_date("2024-01-15")


def test_nothing_is_everything() -> None:
    assert read_period({}) == Period()
    assert read_page_query({}) == PageQuery(Period(), None)
    assert read_page_query({"start": "", "end": "", "instance": "", "before": ""}) == PageQuery(Period(), None)
    assert read_page_query({"limits": "x", "Start": "x"}) == PageQuery(Period(), None)


def test_a_day_is_whole_at_its_end() -> None:
    assert read_period({"start": "2024-01-15", "end": "2024-01-15"}) == Period(DAY, DAY + DAY_US - 1)
    assert read_page_query({"before": "2024-01-15"}).period == Period(None, DAY - 1)


def test_before_and_end() -> None:
    early, late = "2024-01-15T00:00:00.000005Z", "2024-01-15T00:00:00.000009Z"
    assert read_page_query({"before": early, "end": late}).period.end_us == DAY + 4
    assert read_page_query({"before": late, "end": early}).period.end_us == DAY + 5
    assert read_page_query({"before": late, "end": late}).period.end_us == DAY + 8


def test_nothing_is_before_the_start() -> None:
    period = read_page_query({"start": "2024-01-15", "before": "2024-01-15"}).period
    assert period == Period(DAY, DAY - 1)


def test_one_moment_is_a_period() -> None:
    assert read_period({"start": "2024-01-15T00:00", "end": "2024-01-15T00:00"}) == Period(DAY, DAY)


@pytest.mark.parametrize("name", ["gpu-box-1:8001", "10.0.0.7:8001", "Küche", "a b", "x" * 128])
def test_an_instance(name: str) -> None:
    assert read_period({"instance": name}).instance == name


@pytest.mark.parametrize(("text", "limit"), [("1", 1), ("100", 100), ("1000000", 1_000_000), ("007", 7)])
def test_a_limit(text: str, limit: int) -> None:
    assert read_page_query({"limit": text}).limit == limit


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"start": "yesterday"}, "start: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ({"end": "2024-02-30"}, "end: no such day or time; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ({"before": "\x00"}, "before: not a date; write 2026-11-20T08:32:30Z, or 2026-11-20"),
        ({"start": "2024-01-16", "end": "2024-01-15"}, "start: later than end"),
        ({"start": "2024-01-15T00:00:00.000001", "end": "2024-01-15T00:00"}, "start: later than end"),
        *(
            ({"limit": text}, "limit: not a whole number from 1 to 1000000; write 100")
            for text in ("0", "000", "-1", "+1", "1.0", "1e3", "1000001", "9" * 5000, "ten", "١", " 1", "1\x00")
        ),
        *(
            ({"instance": text}, "instance: not the name of a sidecar; write gpu-box-1:8001")
            for text in ("x" * 129, "a\x00", "a\nb", "\ud800", "\u202e")
        ),
    ],
)
def test_what_makes_no_sense(query: dict[str, str], message: str) -> None:
    with pytest.raises(BadQueryError) as raised:
        read_page_query(query)
    assert str(raised.value) == message


NAMES = [parameter.name for parameter in PAGE]


def test_the_figures_have_some_of_the_parameters() -> None:
    assert NAMES == ["start", "end", "instance", "limit", "before"]
    assert [parameter.name for parameter in PERIOD] == NAMES[:3]


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.sampled_from(["2024-01-15", "7"])))
def test_a_query_or_the_error(query: dict[str, str]) -> None:
    try:
        period, limit = read_page_query(query)
    except BadQueryError as error:
        name, _, reason = str(error).partition(": ")
        assert name in query
        assert reason
    else:
        assert limit is None or 1 <= limit <= 1_000_000
        assert period.instance is None or period.instance.isprintable()
