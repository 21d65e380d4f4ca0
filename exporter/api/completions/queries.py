"""What clients ask for, read from the query. An empty filter is none; of several with one name the last counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from exporter.api.operation import Parameter
from exporter.api.past import BadQueryError
from exporter.dates import PATTERN, read_date
from exporter.store.figures import Period

MOST_ROWS = 1_000_000
LONGEST_INSTANCE = 128
WHOLE_NUMBER = re.compile(r"0{0,9}[1-9][0-9]{0,6}")
DATE = f"^({PATTERN})?$"

Date = Annotated[str, Field(pattern=DATE, examples=["2026-11-20T08:32:30Z", "2026-11-20"])]
Instance = Annotated[str, Field(max_length=LONGEST_INSTANCE)]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS)]

PERIOD = (
    Parameter("start", "Requests that finished then or later: `2026-11-20T08:32:30Z`, `2026-11-20` (UTC).", Date),
    Parameter("end", "Requests that finished then or earlier; of a date alone the whole day.", Date),
    Parameter("instance", "Requests of one sidecar (`store.instance`).", Instance),
)
PAGE = (
    *PERIOD,
    Parameter("limit", "At most so many, the newest.", Limit),
    Parameter("before", "Requests that finished earlier: the `timestamp` of the last row so far.", Date),
)


class PageQuery(NamedTuple):
    """Which rows."""

    period: Period
    limit: int | None
    """None: all."""


def read_period(query: Mapping[str, str]) -> Period:
    """The period that is asked for. Raises BadQueryError."""
    start, end = _date(query, "start"), _date(query, "end", whole_day=True)
    if start is not None and end is not None and start > end:
        raise BadQueryError("start: later than end")
    return Period(start, end, _instance(query))


def read_page_query(query: Mapping[str, str]) -> PageQuery:
    """The rows that are asked for: none if the period ends before it starts. Raises BadQueryError."""
    period = read_period(query)
    before = _date(query, "before")
    if before is not None:
        end = before - 1 if period.end_us is None else min(period.end_us, before - 1)
        period = period._replace(end_us=end)
    return PageQuery(period, _limit(query))


def _date(query: Mapping[str, str], name: str, *, whole_day: bool = False) -> int | None:
    text = query.get(name)
    if not text:
        return None
    try:
        return read_date(text, whole_day=whole_day)
    except ValueError as error:
        raise BadQueryError(f"{name}: {error}") from None


def _instance(query: Mapping[str, str]) -> str | None:
    text = query.get("instance")
    if not text:
        return None
    if len(text) > LONGEST_INSTANCE or not text.isprintable():
        raise BadQueryError("instance: not the name of a sidecar; write gpu-box-1:8001")
    return text


def _limit(query: Mapping[str, str]) -> int | None:
    text = query.get("limit")
    if not text:
        return None
    if not WHOLE_NUMBER.fullmatch(text) or int(text) > MOST_ROWS:
        raise BadQueryError(f"limit: not a whole number from 1 to {MOST_ROWS}; write 100")
    return int(text)
