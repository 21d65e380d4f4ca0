"""What clients did is what the past says, on both listeners and in all contracts, also after a restart; on SQLite and
on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.kinds import DIRECT_KINDS
from exporter.demo.traffic import ClientView, Exchange, Kind, Result, plan, play_all
from tests.databases import PostgreSQL
from tests.end_to_end.records import tagged
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.store_books import Books
from tests.end_to_end.store_books import figures as sums_of
from tests.end_to_end.store_traffic import Traffic
from tests.end_to_end.store_views import figures, rows, timeless, totals, until_written, wait_until

REQUESTS, USERS = 42, 6
NO_MODEL = {Kind.TOKENIZE, Kind.MODELS, Kind.UNKNOWN_PATH}
"""Of these there is no history: they ask no model for anything."""
LATE_MS = 20
"""On a busy machine a process can look at its clock so much later than it did what it times."""
NAME = {"LLAMA_EXPORTER_STORE__INSTANCE": "box"}
LISTEN = ("--completions-listen", "127.0.0.1:0")
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
AXIOS = "application/json, text/plain, */*"


@dataclass(slots=True)
class Played:
    """A sidecar whose clients have been and gone."""

    sidecar: Sidecar
    url: str
    """Of the store."""
    asked: list[Exchange]
    views: list[ClientView]
    before: dict[str, Any] = field(default_factory=dict)

    def inference(self) -> Iterator[tuple[Exchange, ClientView]]:
        """What there is to be a history of."""
        return (pair for pair in zip(self.asked, self.views, strict=True) if pair[0].kind not in NO_MODEL)


@pytest.fixture
def played(store_url: str, engine: Engine) -> Iterator[Played]:
    asked = tagged(plan(13, REQUESTS, DIRECT_KINDS))
    with Sidecar("--upstream", engine.url, "--store", store_url, *LISTEN, environment=NAME) as sidecar:
        views = asyncio.run(play_all(sidecar.proxy, asked, users=USERS))
        until_written(sidecar, len(views))
        yield Played(sidecar, store_url, asked, views)


def test_the_past_is_what_clients_did_and_outlives_the_sidecar(played: Played, engine: Engine) -> None:
    """One test, for the traffic takes most of its time."""
    check_rows(played)
    check_figures(played)
    check_totals(played)
    before = seen_now(played.sidecar)
    last = Traffic(played.sidecar.proxy, "last")
    last.ask(12)
    assert played.sidecar.stop() == 0  # at once: nothing of that had to be written yet
    assert not Books(played.url).faults()
    origins = Books(played.url).column("origin")
    assert {seen.origin for seen in last.seen} <= set(origins)
    with Sidecar("--upstream", engine.url, "--store", played.url, *LISTEN, environment=NAME) as again:
        until_written(again, 0)
        after = seen_now(again)
        assert after["rows"][-len(before["rows"]) :] == before["rows"]
        assert len(after["rows"]) == len(before["rows"]) + 12
        assert after["figures"]["total_requests"] == before["figures"]["total_requests"] + 12
        assert after["totals"]["summary"]["total_requests"] == before["totals"]["summary"]["total_requests"] + 12
        for key in ("total_errors", "total_tool_calls", "cache_read_tokens"):
            assert after["totals"]["summary"][key] >= before["totals"]["summary"][key]
        check_sums(again, played.url)


def seen_now(sidecar: Sidecar) -> dict[str, Any]:
    return {"rows": rows(sidecar.admin), "figures": figures(sidecar.admin), "totals": totals(sidecar)}


def check_rows(played: Played) -> None:
    """Every request of a client is a row, on both listeners."""
    listed = rows(played.sidecar.completions)
    assert listed == rows(played.sidecar.admin)
    by_origin = {row["origin"]: row for row in listed}
    inference = list(played.inference())
    assert len(listed) == len(by_origin) == len(inference)
    assert [row["timestamp"] for row in listed] == sorted((row["timestamp"] for row in listed), reverse=True)
    for asked, view in inference:
        check_row(by_origin[asked.origin], asked, view)
    assert {view.result for _, view in inference} >= {Result.COMPLETED, Result.LEFT, Result.REFUSED}


def check_row(row: dict[str, Any], asked: Exchange, view: ClientView) -> None:
    """As the client saw it."""
    assert row["is_streaming"] == asked.stream
    if view.result is Result.LEFT:  # it may have been served just before it went
        assert row["error_type"] in (None, "connection_error", "streaming_incomplete")
        return
    assert row["success"] == (view.result is Result.COMPLETED)
    assert (row["error_type"] is None) == row["success"]
    assert row["timing"]["response_time_ms"] <= view.duration_seconds * 1000 + LATE_MS
    if view.ttft_seconds is not None:
        assert 0 < row["time_to_first_token_ms"] <= view.ttft_seconds * 1000 + LATE_MS
        assert row["tokens"]["completion"] >= view.content_chunks > 0


def check_figures(played: Played) -> None:
    """The figures are the sums of the rows, on both listeners."""
    document = check_sums(played.sidecar, played.url)
    assert timeless(document) == timeless(figures(played.sidecar.completions))
    listed = rows(played.sidecar.admin)
    assert document["total_requests"] == document["recent_requests_24h"] == len(listed)
    assert document["successful_requests"] == sum(row["success"] for row in listed)
    assert document["streaming_requests"] == sum(row["is_streaming"] for row in listed)
    assert document["total_tokens_used"] == sum(row["tokens"]["total"] or 0 for row in listed)
    errors = Counter(row["error_type"] for row in listed if not row["success"])
    assert {each["type"]: each["count"] for each in document["error_types"]} == errors
    middle = listed[len(listed) // 2]["timestamp"]
    since = figures(played.sidecar.admin, start=middle)
    assert since["total_requests"] == sum(row["timestamp"] >= middle for row in listed)


def check_sums(sidecar: Sidecar, url: str) -> dict[str, Any]:
    """They are what plain SQL makes of the rows."""
    document = figures(sidecar.admin)
    with Books(url).opened() as books:
        expected = sums_of(books)
    assert {key: document[key] for key in expected} == expected
    return document


def check_totals(played: Played) -> None:
    """And what the contracts of the present say."""
    document = figures(played.sidecar.admin)
    summary = totals(played.sidecar)["summary"]
    with httpx.Client(base_url=played.sidecar.admin) as client:
        present = client.get("/api/metrics").json()["metrics"]
        historical = client.get("/api/metrics/historical").json()
    requests = document["total_requests"]
    assert requests == summary["total_requests"] == present["totalRequests"] == historical["totalRequests"]
    assert document["total_tokens_used"] == summary["total_input_tokens"] + summary["total_output_tokens"]
    # A client that left is no error there, and no success here.
    left = sum(outcome == "client_gone" for outcome in Books(played.url).column("outcome"))
    assert document["failed_requests"] == summary["total_errors"] + left == historical["totalErrors"] + left


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory in which there is nothing yet."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def plain(canned_upstream: str, place: Path) -> Iterator[Sidecar]:
    """That was not told where to keep history, with five requests of the past."""
    with Sidecar("--upstream", canned_upstream, *LISTEN, environment={"XDG_STATE_HOME": str(place)}) as sidecar:
        Traffic(sidecar.proxy).ask(5)
        until_written(sidecar, 5)
        yield sidecar


@pytest.mark.parametrize("accept", [PROMETHEUS, "*/*", BROWSER, "text/plain", ""])
def test_metrics_of_the_admin_listener_are_for_prometheus(plain: Sidecar, accept: str) -> None:
    answer = httpx.get(f"{plain.admin}/metrics", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    assert "accept" in answer.headers["vary"].lower()
    assert "\nllm_sidecar_store_up 1.0\n" in answer.text


@pytest.mark.parametrize(
    ("accept", "query"),
    [
        ("application/json", {}),
        (AXIOS, {}),
        (PROMETHEUS, {"start": "2026-01-01"}),
        ("*/*", {"end": "2100-01-01"}),
        ("*/*", {"instance": ""}),
    ],
)
def test_metrics_of_the_admin_listener_are_json_for_those_who_ask(
    plain: Sidecar, accept: str, query: dict[str, str]
) -> None:
    answer = httpx.get(f"{plain.admin}/metrics", headers={"accept": accept}, params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert "accept" in answer.headers["vary"].lower()
    assert answer.json()["total_requests"] == 5


@pytest.mark.parametrize("accept", [PROMETHEUS, "*/*", "text/plain", "application/json"])
def test_metrics_of_the_own_listener_are_always_json(plain: Sidecar, accept: str) -> None:
    answer = httpx.get(f"{plain.completions}/metrics", headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["total_requests"] == 5


def test_the_own_listener_has_nothing_else(plain: Sidecar) -> None:
    for path in ("/", "/-/healthy", "/api/metrics", "/metrics/running-totals", "/v1/models"):
        assert httpx.get(f"{plain.completions}{path}").status_code == 404
    assert httpx.get(f"{plain.completions}/health").json()["status"] == "healthy"


def test_the_usual_place_is_for_the_eyes_of_its_user_alone(plain: Sidecar, place: Path) -> None:
    folder = place / "llama-exporter"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(Books(f"sqlite:///{folder / 'history.db'}").column("id")) == len(rows(plain.admin)) == 5


def test_without_a_store(canned_upstream: str) -> None:
    """And with a key, which the own listener asks for as well."""
    keys = {"PROXY_API_KEY": "geheim"}
    with Sidecar("--upstream", canned_upstream, *LISTEN, environment=keys) as sidecar:
        bearer = {"authorization": "Bearer geheim"}
        reason = {"detail": "history is off: store.url is none"}
        for url in (sidecar.admin, sidecar.completions):
            for path in ("/metrics?start=2026-01-01", "/completion_requests"):
                assert httpx.get(url + path).status_code == 401
                answer = httpx.get(url + path, headers=bearer)
                assert (answer.status_code, answer.json()) == (503, reason)
        assert httpx.get(f"{sidecar.completions}/metrics").status_code == 401
        health = httpx.get(f"{sidecar.completions}/health", headers=bearer)
        assert (health.status_code, health.json()["detail"]) == (503, reason["detail"])
        metrics = httpx.get(f"{sidecar.admin}/metrics", headers=bearer).text
        assert "llm_sidecar_event_loop_lag_seconds" in metrics
        assert "llm_sidecar_store_" not in metrics


def test_two_sidecars_on_one_postgresql(postgresql: PostgreSQL, canned_upstream: str) -> None:
    url = postgresql.create()
    names = "one:8001", "other/ü"
    sidecars = [
        Sidecar("--upstream", canned_upstream, "--store", url, environment={"LLAMA_EXPORTER_STORE__INSTANCE": name})
        for name in names
    ]
    with sidecars[0] as one, sidecars[1] as other:
        with Traffic(one.proxy, "a").running() as first, Traffic(other.proxy, "b").running() as second:
            wait_until(lambda: len(first.seen) > 60 and len(second.seen) > 60)
        counts = len(first.seen), len(second.seen)
        until_written(one, counts[0])
        until_written(other, counts[1])
        assert not Books(url).faults()
        for sidecar in (one, other):
            assert figures(sidecar.admin)["total_requests"] == sum(counts)
            assert [figures(sidecar.admin, instance=name)["total_requests"] for name in names] == [*counts]
            assert [len(rows(sidecar.admin, instance=name)) for name in names] == [*counts]
            assert figures(sidecar.admin, instance="nobody")["total_requests"] == 0
        with Books(url).opened() as books:
            for name in names:
                expected, found = sums_of(books, instance=name), figures(one.admin, instance=name)
                assert {key: found[key] for key in expected} == expected
        assert [totals(each)["summary"]["total_requests"] for each in (one, other)] == [*counts]
