"""The answers of the original over its own rows: the same, except where a test here says what differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from exporter.api.completions.rows import completion_request
from tests.api.completions.captures import QUERIES, Json, capture, captured_rows, moment_us, stored_rows
from tests.api.completions.past import FakePast, make_app
from tests.api.views import Clock, make_views

ON_THAT_DAY = moment_us("2024-01-15T23:59:59") / 1_000_000


class ClockOfThatDay(Clock):
    def wall(self) -> float:
        return ON_THAT_DAY


async def ask(name: str) -> Json:
    past = FakePast(stored_rows())
    clock = ClockOfThatDay() if name == "now" else Clock()
    app = make_app(past, views=make_views(clock=clock, past=past))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.get("/metrics", params=QUERIES[name])
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


@pytest.mark.parametrize("name", QUERIES)
async def test_figures(name: str) -> None:
    expected, found = capture(f"metrics.{name}"), await ask(name)
    assert found.pop("timestamp").endswith("Z")  # the original's has no zone
    assert expected.pop("timestamp")
    assert list(found)[: len(expected)] == list(expected)
    # With a period, the original counts that again; here it is always the last 24 hours.
    assert found.pop("recent_requests_24h") == (15 if name == "now" else 0)
    assert expected.pop("recent_requests_24h") in (0, found["total_requests"])
    # One answer of 429 is its own kind of failure here.
    errors = {each["type"]: each["count"] for each in expected.pop("error_types")}
    if "http_error" in errors:
        errors |= {"http_error": errors["http_error"] - 1, "rate_limit": 1}
    assert {each["type"]: each["count"] for each in found.pop("error_types")} == errors
    # Names with as many requests are in no certain order there, so that which of them are the first five differs.
    for key, words in (("top_models", "model"), ("top_origins", "origin"), ("finish_reasons", "reason")):
        assert found[key] == sorted(found[key], key=lambda each: (-each["count"], each[words]))
        theirs, ours = expected.pop(key), found.pop(key)
        assert [each["count"] for each in ours] == [each["count"] for each in theirs]
        certain = [each for each in theirs if each["count"] > theirs[-1]["count"]]
        assert all(each in ours for each in certain)
    assert expected.items() <= found.items()
    assert found.keys() - expected.keys() == ADDED


ADDED = {
    *("requests", "model_distribution", "origin_distribution", "success_rate", "streaming_percentage"),
    *("avg_prompt_tokens", "avg_completion_tokens", "avg_total_tokens"),
}
"""What other versions of the original answer, or its front ends read."""


async def test_nested_figures() -> None:
    """What the newest server of the original answers over the same rows."""
    found = await ask("all")
    assert found["requests"] == {
        "total": {"total": 15, "successful": 12, "failed": 3, "avg_response_time_ms": 424.67},
        "streamed": {
            "total": 5,
            "successful": 4,
            "failed": 1,
            "tokens": {
                "reported_count": 3,
                "total": 42,
                "prompt_total": 16,
                "completion_total": 26,
                "avg_tokens_per_second": 19.09,
            },
            "error_types": {"http_error": 1},
            "avg_response_time_ms": 458.0,
            "avg_time_to_first_token_ms": 87.5,
            "avg_time_to_last_token_ms": 562.5,
            "avg_completion_duration_ms": 475.0,
        },
        "non_streamed": {
            "total": 10,
            "successful": 8,
            "failed": 2,
            "tokens": {
                "reported_count": 7,
                "total": 198,
                "prompt_total": 126,
                "completion_total": 72,
                "avg_tokens_per_second": 17.29,
            },
            "error_types": {"connection_error": 1, "rate_limit": 1},
            "avg_time_to_first_token_ms": 500.0,
            "avg_time_to_last_token_ms": 500.0,
            "avg_completion_duration_ms": 0.0,
        },
    }
    assert list(found["model_distribution"].items()) == [
        *(("m1", 4), ("m2", 4), ("m3", 2)),
        *(("m4", 1), ("m5", 1), ("m6", 1)),
    ]
    origins = {"http://a.example": 5, "http://b.example": 2}
    origins |= {f"http://{letter}.example": 1 for letter in "cdef"}
    assert list(found["origin_distribution"].items()) == list(origins.items())


@pytest.mark.parametrize("name", QUERIES)
async def test_figures_by_hand(name: str) -> None:
    """Straight from the original's rows: what it does not answer in that version, and what it does differently."""
    found = await ask(name)
    rows = list(chosen(name))
    for streamed, key in ((True, "streamed"), (False, "non_streamed")):
        part = [row for row in rows if bool(row["is_streaming"]) is streamed]
        figures = found["requests"][key]
        assert figures["total"] == len(part)
        assert figures["failed"] == sum(not row["success"] for row in part)
        assert figures["tokens"]["total"] == sum(row["total_tokens"] or 0 for row in part)
        assert figures["tokens"].get("avg_tokens_per_second") == mean(row["tokens_per_second"] for row in part)
        assert figures.get("avg_time_to_last_token_ms") == mean(row["time_to_last_token_ms"] for row in part)
    assert found["requests"]["total"]["avg_response_time_ms"] == mean(row["response_time_ms"] for row in rows)
    names = [row["model"] for row in rows if row["model"]]
    assert found["model_distribution"] == {model: names.count(model) for model in names}


def chosen(name: str) -> Iterator[Json]:
    query = {key: moment_us(value) for key, value in QUERIES[name].items()}
    for row in captured_rows():
        moment = moment_us(row["timestamp"])
        if query.get("start", moment) <= moment <= query.get("end", moment):
            yield row


def mean(values: Iterator[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None


@pytest.mark.parametrize("name", QUERIES)
def test_rows(name: str) -> None:
    query = {key: moment_us(value) for key, value in QUERIES[name].items()}
    expected = capture(f"completion_requests.{name}")
    # The original sorts by text: a blank in the place of the T comes before every digit.
    expected.sort(key=lambda row: moment_us(row["timestamp"]), reverse=True)
    found: list[Json] = [
        dict(completion_request(row))
        for row in FakePast(stored_rows()).requests
        if query.get("start", row.finished_us) <= row.finished_us <= query.get("end", row.finished_us)
    ]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert moment_us(theirs.pop("timestamp")) == moment_us(str(ours.pop("timestamp")))
        theirs["model"] = theirs["model"] or None  # an empty name is none
        assert theirs.items() <= ours.items()
        assert ours.keys() - theirs.keys() == {"timing", "origin", "finish_reason", "error_type"}
