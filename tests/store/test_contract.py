"""Rows of the original system, through our database and the room's shapes: the figures that it answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from exporter.api.completions.listing import read_pages
from exporter.api.completions.queries import read_page_query
from exporter.record import Outcome
from exporter.store.database import Database
from exporter.store.figures import Period, StoredRequest
from exporter.store.reader import Reader, read_figures, read_page
from exporter.store.rows import Finished
from tests.api.completions.captures import QUERIES, capture, moment_us, stored_rows
from tests.api.completions.past import FakePast, make_app
from tests.api.views import Clock, make_views
from tests.store.requests import check_sums, count, in_order, write
from tests.telemetry.examples import record

SECOND_US = 1_000_000
ON_THAT_DAY_US = moment_us("2024-01-15T23:59:59")
DECIDED = {"timestamp", "recent_requests_24h", "error_types", "top_models", "top_origins", "finish_reasons"}
"""What another decision than the original's was made about; the tests of the room say which."""


class ClockOfThatDay(Clock):
    def wall(self) -> float:
        return ON_THAT_DAY_US / SECOND_US


def as_finished(row: StoredRequest) -> Finished:
    """What the sidecar would have recorded."""
    made = record(
        request_id=str(row.id),
        started_at=(row.finished_us - row.duration_us) / SECOND_US,
        duration_seconds=row.duration_us / SECOND_US,
        outcome=Outcome(row.outcome),
        stream=row.stream,
        status_code=row.status_code,
        error_type=row.error_type,
        finish_reasons=() if row.finish_reason is None else (row.finish_reason,),
        origin=row.origin,
        message_count=row.message_count,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        ttft_seconds=_seconds(row.ttft_us),
        last_token_seconds=_seconds(row.last_token_us),
    )
    return Finished(made, row.model)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / SECOND_US


@pytest.fixture
def filled(database: Database) -> Database:
    write(database, [as_finished(row) for row in stored_rows()])
    check_sums(database)
    return database


async def answer(past: Any, name: str) -> dict[str, Any]:
    clock = ClockOfThatDay() if name == "now" else Clock()
    app = make_app(past, views=make_views(clock=clock, past=past))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        found: dict[str, Any] = (await client.get("/metrics", params=QUERIES[name])).json()
    return found


@pytest.mark.parametrize("name", QUERIES)
async def test_figures_of_the_original(filled: Database, name: str) -> None:
    found, other = await answer(Reader(filled), name), await answer(FakePast(stored_rows()), name)
    # One row is of the midnight after that day: it has not happened yet.
    assert found.pop("recent_requests_24h") == (14 if name == "now" else 0)
    assert other.pop("recent_requests_24h") == (15 if name == "now" else 0)
    assert found == other  # which is compared with the rest of the captures
    captured = capture(f"metrics.{name}")
    for key in captured.keys() - DECIDED:
        assert found[key] == captured[key], key


@pytest.mark.parametrize("name", QUERIES)
async def test_rows_of_the_original(filled: Database, name: str) -> None:
    query = read_page_query(QUERIES[name])
    pieces = [piece async for piece in read_pages(Reader(filled), query)]
    found = json.loads(b"[" + b",".join(pieces) + b"]")
    captured = capture(f"completion_requests.{name}")
    captured.sort(key=lambda row: moment_us(row["timestamp"]), reverse=True)  # the original sorts by text
    assert len(found) == len(captured)
    for ours, theirs in zip(found, captured, strict=True):
        assert moment_us(ours["timestamp"]) == moment_us(theirs["timestamp"])
        for key in theirs.keys() - {"timestamp", "model"}:
            assert ours[key] == theirs[key], key
        assert ours["model"] == (theirs["model"] or None)


async def test_rows_come_back_as_they_went_in(filled: Database) -> None:
    with filled.read() as connection:
        found = read_page(connection, Period(), None, 100)
    expected = sorted(stored_rows(), key=lambda row: row.finished_us, reverse=True)
    assert [row._replace(id=0) for row in found] == [row._replace(id=0) for row in expected]


@pytest.mark.parametrize("name", QUERIES)
async def test_sums_of_the_original(filled: Database, name: str) -> None:
    query = {key: moment_us(value) for key, value in QUERIES[name].items()}
    period = Period(query.get("start"), query.get("end"))
    with filled.read() as connection:
        found = read_figures(connection, period, ON_THAT_DAY_US)
    expected = await FakePast(stored_rows()).figures(period, ON_THAT_DAY_US)
    assert in_order(found) == in_order(expected._replace(recent=found.recent))


def test_what_cannot_be_told_apart_by_its_time_is_still_two(database: Database) -> None:
    row = as_finished(next(iter(stored_rows())))
    write(database, [row, Finished(replace(row.record), row.model)])
    assert count(database) == 2
    check_sums(database)
