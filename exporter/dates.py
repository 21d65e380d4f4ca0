"""Points in time as people and clients write them, and as they are stored: a strict part of ISO 8601, read to the
microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC as well; to write a time takes half as long without its zone
EXAMPLES = "2026-11-20T08:32:30Z, or 2026-11-20"
PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+\- ][0-9]{2}(:?[0-9]{2})?)?)?"
)
"""For descriptions; `FORM` is the same, with names."""
FORM = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+\- ])(?P<zone_hour>[0-9]{2})(?::?(?P<zone_minute>[0-9]{2}))?)?)?",
)


def read_date(text: str, *, whole_day: bool = False) -> int:
    """UTC microseconds since the epoch. Raises ValueError, whose message does not repeat the text.

    A date, `2026-11-20`, alone or with a time of the day, `T08:32`, `T08:32:30` or `T08:32:30.123456` (also with a
    blank before it; digits behind the sixth are cut off), and that alone or with a zone: `Z`, `+02:00`, `+0200`, `+02`.
    A blank before a zone is a `+` that was not percent-encoded. Without a zone it is UTC. A date alone is its first
    microsecond, or with `whole_day` its last.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"not a date; write {EXAMPLES}")
    try:
        return _microseconds(match, whole_day=whole_day)
    except ValueError:
        raise ValueError(f"no such day or time; write {EXAMPLES}") from None


def _microseconds(match: re.Match[str], *, whole_day: bool) -> int:
    year, month, day = (int(part) for part in match["date"].split("-"))
    if match["hour"] is None:
        midnight = (datetime(year, month, day, tzinfo=UTC) - EPOCH) // MICROSECOND
        return midnight + DAY_US - 1 if whole_day else midnight
    fraction = int((match["fraction"] or "")[:6].ljust(6, "0"))
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"] or 0)
    local = datetime(year, month, day, hour, minute, second, fraction, UTC)
    return (local - EPOCH - _offset(match)) // MICROSECOND


def _offset(match: re.Match[str]) -> timedelta:
    """How far the clock of the zone is before UTC. Raises ValueError where no clock can be."""
    if match["sign"] is None:
        return timedelta()
    hours, minutes = int(match["zone_hour"]), int(match["zone_minute"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no zone is a day away")
    ahead = timedelta(hours=hours, minutes=minutes)
    return -ahead if match["sign"] == "-" else ahead


def write_time(moment_us: int) -> str:
    """`2026-11-20T08:32:30.123456Z`, which `read_date` reads to the same microsecond."""
    return write_naive(moment_us) + "Z"


def write_naive(moment_us: int) -> str:
    """`2026-11-20T08:32:30.123456`, UTC without saying so, which `read_date` reads to the same microsecond."""
    return (NAIVE_EPOCH + timedelta(microseconds=moment_us)).isoformat(timespec="microseconds")
