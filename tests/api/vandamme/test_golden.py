"""Every captured answer of the original but the reports, for which see `test_golden_totals`. What we do otherwise on
purpose is stated here once, as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.api.vandamme import report, totals
from exporter.api.vandamme.documents import Update
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.snapshot import active_requests
from exporter.api.vandamme.stream import HEARTBEAT, frame
from exporter.api.views import UpstreamView
from exporter.live.active import ActiveRequests
from exporter.observe.observation import Observation
from tests.api.vandamme.captures import GOLDEN, capture, generated_at, headers_of, own_headers, replace_all
from tests.api.vandamme.traffic import client_of, get, in_flight, make_room
from tests.api.views import NOW, WALL, Clock, make_views

UPSTREAMS = (UpstreamView("Q2", "llama", "Q2", 8082), UpstreamView("Q3", "openai", "Q3", 8083))
NAMES = Names(("llama", "openai"))

NO_CACHE = {"cache-control": "no-cache"}
UNBUFFERED = {"x-accel-buffering": "no"}

# Sentences that are not true of us, or not helpful.
HELPFUL = {"Set LOG_REQUEST_METRICS=false to disable tracking": "Set LOG_REQUEST_METRICS=true to enable tracking"}
KEY_ADVICE = {
    "Please provide a valid Anthropic API key.": (
        "Send one of auth.api_keys as x-api-key: KEY or Authorization: Bearer KEY."
    )
}


# Requests in flight


def as_observed(row: Mapping[str, Any], moment: float) -> Observation:
    """The request in flight that a captured row tells of. `moment` is the UTC time of the row."""
    observation = in_flight(
        started_at=row["start_time"],
        provider=row["provider"],
        served=row["resolved_model"],
        path="/v1/chat/completions",
    )
    observation.request_id = row["request_id"]
    observation.requested_model = row["requested_model"]
    observation.stream = row["is_streaming"]
    observation.started = NOW + moment - WALL - row["duration_ms"] / 1000
    return observation


def rows_again(rows: list[dict[str, Any]], moment: float) -> Any:
    active = {as_observed(row, moment) for row in rows}
    return active_requests(active, NAMES, NOW + moment - WALL)


EVENTS = ("03-stream-empty-2s.sse", "10-stream-live.timed.txt", "80-heartbeat-1s.sse")


def captured_updates(name: str) -> Iterator[str]:
    """The data of the update events."""
    text = re.sub(r"^ *\d+\.\d{3} ", "", (GOLDEN / name).read_bytes().decode(), flags=re.MULTILINE)
    yield from re.findall(r"^event: update\ndata: (.*)\n", text, re.MULTILINE)


@pytest.mark.parametrize("name", EVENTS)
def test_updates(name: str) -> None:
    updates = list(captured_updates(name))
    assert updates
    for data in updates:
        told = json.loads(data)
        rows = rows_again(told["active_requests"], told["timestamp"])
        update: Update = {"disabled": False, "active_requests": rows, "timestamp": told["timestamp"]}
        assert frame("update", update).decode() == f"event: update\ndata: {data}\n\n"


def test_heartbeats() -> None:
    assert capture("80-heartbeat-1s.sse").body.count(HEARTBEAT.decode()) == 4


@pytest.mark.parametrize("name", ["01-active-empty.http", "12-active-two.http"])
async def test_snapshot(name: str) -> None:
    clock, active = Clock(), ActiveRequests()
    for row in json.loads(capture(name).body)["active_requests"]:
        active.start(as_observed(row, WALL))
    views = make_views(clock=clock, active=active, upstreams=UPSTREAMS)
    answer = await get("/metrics/active-requests", views)
    assert answer.text == capture(name).body
    assert own_headers(answer) == headers_of(name)


# Nothing is recorded, nothing may be read, nothing can be made


async def test_snapshot_disabled() -> None:
    answer = await get("/metrics/active-requests", make_views(recording=False))
    assert answer.text == replace_all(capture("50-disabled-active.http").body, HELPFUL)
    assert own_headers(answer) == headers_of("50-disabled-active.http")


async def test_stream_disabled() -> None:
    answer = await get("/metrics/active-requests/stream", make_views(recording=False))
    assert answer.text == replace_all(capture("51-disabled-stream.sse").body, HELPFUL)
    assert own_headers(answer) == headers_of("51-disabled-stream.sse", UNBUFFERED)


REAL_KEYS = {"# Message':": "'# Message':", "# Suggestion':": "'# Suggestion':"}
"""What look like comments, with a stray apostrophe, are keys that the dashboard reads."""


async def test_totals_disabled() -> None:
    text = capture("52-disabled-totals.http").body
    moment = generated_at(text)
    answer = await get("/metrics/running-totals", make_views(recording=False, wall=lambda: moment))
    assert answer.text == replace_all(text, HELPFUL | REAL_KEYS)
    assert own_headers(answer) == headers_of("52-disabled-totals.http", NO_CACHE)


def test_failure() -> None:
    text = (GOLDEN / "90-totals-error-body.yaml").read_text()
    written = report.write_failure(totals.failure(ValueError("boom: x")), generated_at(text))
    ours = {"error: 'boom: x'": "error: 'ValueError: the log of the sidecar says more'"}
    assert written == replace_all(text, ours)


async def test_bad_switch() -> None:
    name = "29-totals-bad-bool.http"
    answer = await get("/metrics/running-totals?include_active=maybe")
    assert (answer.status_code, answer.text) == (capture(name).status, capture(name).body)
    assert own_headers(answer) == headers_of(name, NO_CACHE)


KEYS = {
    "60-auth-missing.http": {},
    "61-auth-wrong.http": {"x-api-key": "wrong"},
    "66-auth-both.http": {"x-api-key": "wrong", "authorization": "Bearer right"},
}


@pytest.mark.parametrize("name", KEYS)
async def test_keys(name: str) -> None:
    async with client_of(make_room(), keys=["right"]) as client:
        answer = await client.get("/metrics/active-requests", headers=KEYS[name])
        allowed = await client.get("/metrics/active-requests", headers={"x-api-key": "right"})
    assert (answer.status_code, answer.text) == (401, replace_all(capture(name).body, KEY_ADVICE))
    challenge = {"www-authenticate": 'Bearer realm="llama-exporter"'}
    assert own_headers(answer) == headers_of(name, NO_CACHE | challenge)
    assert allowed.status_code == 200


async def test_stream_switched_off() -> None:
    """As the document says: 503. The capture, of a newer version, has an event."""
    answer = await get("/metrics/active-requests/stream", enabled=False)
    data = re.search(r"data: (.*)", capture("69-sse-disabled-stream.sse").body)
    assert data
    suggestion = {"suggestion": "Set VDM_ACTIVE_REQUESTS_SSE_ENABLED=true to enable"}
    assert (answer.status_code, answer.json()) == (503, json.loads(data[1]) | suggestion)


def test_every_capture_is_replayed() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_golden*.py"))
    assert [path.name for path in GOLDEN.iterdir() if path.name not in tests] == []
