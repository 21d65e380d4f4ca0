from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.dates import DAY_US, EPOCH, EXAMPLES, MICROSECOND, PATTERN, read_date, write_naive


def us(*parts: int, minutes_ahead: int = 0) -> int:
    """Of a moment on a clock that is ahead of UTC, by another way."""
    zone = timezone(timedelta(minutes=minutes_ahead))
    return round(datetime(*parts, tzinfo=zone).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


NOON = us(2024, 1, 15, 12)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-15", us(2024, 1, 15)),
        ("2024-01-15T12:00", NOON),
        ("2024-01-15T12:00:00", NOON),
        ("2024-01-15t12:00:00", NOON),
        ("2024-01-15 12:00:00", NOON),
        ("2024-01-15T12:00:00Z", NOON),
        ("2024-01-15 12:00z", NOON),
        ("2024-01-15T12:00:00.5", NOON + 500_000),
        ("2024-01-15T12:00:00.000001Z", NOON + 1),
        ("2024-01-15T12:00:00.1234567890", NOON + 123_456),
        ("2024-01-15T12:00:00.9999999999999Z", NOON + 999_999),
        ("2024-01-15T14:00:00+02:00", NOON),
        ("2024-01-15T14:00:00+0200", NOON),
        ("2024-01-15T14:00:00+02", NOON),
        ("2024-01-15T14:00+02:00", NOON),
        ("2024-01-15T14:00:00 02:00", NOON),
        ("2024-01-15 14:00:00.25 0200", NOON + 250_000),
        ("2024-01-15T08:30:00-03:30", NOON),
        ("2024-01-16T11:59:00+23:59", NOON),
        ("2024-01-15T12:00:00-00:00", NOON),
        ("2024-02-29T00:00:00Z", us(2024, 2, 29)),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2024-01-15T12:00:00." + "1" * 10_000, NOON + 111_111),
        # What no calendar of Python's has: the day before its first, and the one after its last.
        ("0001-01-01T00:00:00+01:00", (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND - 3_600_000_000),
        ("9999-12-31T23:59:59-23:59", (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - EPOCH) // MICROSECOND
         + 86_340_000_000),
    ],
)  # fmt: skip
def test_forms(text: str, moment: int) -> None:
    assert read_date(text) == moment
    assert re.fullmatch(PATTERN, text)


def test_a_day() -> None:
    assert read_date("2024-01-15", whole_day=True) == read_date("2024-01-15") + DAY_US - 1
    assert read_date("9999-12-31", whole_day=True) == read_date("9999-12-31T23:59:59.999999")
    assert read_date("2024-01-15T00:00", whole_day=True) == read_date("2024-01-15")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "yesterday",
        "now",
        "20240115",
        "2024-1-15",
        "24-01-15",
        "2024-01",
        "2024-W03-1",
        "2024-015",
        "1705320000",
        "2024-01-15T",
        "2024-01-15T12",
        "2024-01-15T1200",
        "2024-01-15T12:0",
        "2024-01-15T12:00:00,5",
        "2024-01-15T12:00:00.",
        "2024-01-15T12:00.5",
        "2024-01-15T12:00:00 Z",
        "2024-01-15T12:00:00+2",
        "2024-01-15T12:00:00+02:0",
        "2024-01-15T12:00:00++02:00",
        "2024-01-15T12:00:00+02:00Z",
        "2024-01-15T12:00:00 GMT",
        "2024-01-15Z",
        "2024-01-15+02:00",
        "2024-01-15  12:00:00",
        " 2024-01-15",
        "2024-01-15 ",
        "2024-01-15\n",
        "+2024-01-15",
        "-2024-01-15",
        "02024-01-15",
        "2024-01-15T12:00:00Z\x00",
        "2024-01-15\x00",
        "\x00",
        "\ud800",
        "2024-01-15T12:00:00\udcff",
        "٢٠٢٤-٠١-١٥",
        "２０２４-01-15",
        "2024\u221201\u221215",
        "x" * 10_240,
        "2024-01-15T12:00:00." + "1" * 10_240 + "x",
        # Of the form, but no such time
        "0000-01-01",
        "0000-01-01T00:00:00Z",
        "2024-00-15",
        "2024-13-15",
        "2024-01-00",
        "2024-01-32",
        "2023-02-29",
        "2024-01-15T24:00",
        "2024-01-15T12:60",
        "2024-01-15T12:00:60",
        "2024-01-15T12:00:00+24:00",
        "2024-01-15T12:00:00+99",
        "2024-01-15T12:00:00+02:60",
        "9999-99-99T99:99:99+99:99",
    ],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(ValueError, match=r"; write 2026-11-20T08:32:30Z, or 2026-11-20$"):
        read_date(text)


def test_the_examples_are_dates() -> None:
    first, second = EXAMPLES.split(", or ")
    assert read_date(first) == us(2026, 11, 20, 8, 32, 30)
    assert read_date(second) == us(2026, 11, 20)


@given(st.text(max_size=60) | st.from_regex(PATTERN, fullmatch=True), st.booleans())
@example("2024-01-15T12:00:00+02:00", True)
def test_a_moment_or_the_error(text: str, whole_day: bool) -> None:
    if re.fullmatch(PATTERN, text) is None:
        with pytest.raises(ValueError, match="not a date"):
            read_date(text, whole_day=whole_day)
        return
    with contextlib.suppress(ValueError):  # of the form, but no such day
        assert -63_000_000_000_000_000 < read_date(text, whole_day=whole_day) < 260_000_000_000_000_000


moments = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999)
zones = st.integers(-1439, 1439)


@given(
    moments,
    zones,
    st.sampled_from("Tt "),
    st.sampled_from(["{sign}{hours:02}:{minutes:02}", "{sign}{hours:02}{minutes:02}"]),
    st.sampled_from("+ "),
    st.text(alphabet="0123456789", max_size=20),
)
def test_every_form_with_a_zone(
    moment: datetime, minutes: int, separator: str, form: str, plus: str, more_digits: str
) -> None:
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    zone = form.format(sign="-" if minutes < 0 else plus, hours=abs(minutes) // 60, minutes=abs(minutes) % 60)
    text = local.replace(tzinfo=None).isoformat(separator, "microseconds") + more_digits + zone
    assert read_date(text) == (moment - EPOCH) // MICROSECOND


@given(moments, st.sampled_from("Tt "), st.sampled_from(["", "Z", "z"]), st.integers(0, 6))
def test_every_form_in_utc(moment: datetime, separator: str, zone: str, digits: int) -> None:
    whole = moment.replace(microsecond=0, tzinfo=None).isoformat(separator)
    fraction = f"{moment.microsecond:06}"[:digits]
    text = f"{whole}.{fraction}{zone}" if digits else whole + zone
    kept = int(fraction.ljust(6, "0"))
    assert read_date(text) == (moment.replace(microsecond=kept) - EPOCH) // MICROSECOND


@given(moments)
def test_what_is_written_can_be_read(moment: datetime) -> None:
    moment_us = (moment - EPOCH) // MICROSECOND
    assert read_date(write_naive(moment_us)) == moment_us
    assert datetime.fromisoformat(write_naive(moment_us)).replace(tzinfo=UTC) == moment


def test_how_it_is_written() -> None:
    assert write_naive(0) == "1970-01-01T00:00:00.000000"
    assert write_naive(1_795_163_550_123_456) == "2026-11-20T08:32:30.123456"
