"""What the real dashboard shows of real requests: every figure that it looks for is where it looks."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.vandamme import snapshot, totals
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.rows import Filter, gather
from exporter.live.active import ActiveRequests
from exporter.record import Outcome, RequestRecord
from tests.api.vandamme import dashboard
from tests.api.vandamme.records import record
from tests.api.vandamme.traffic import get, in_flight
from tests.api.views import NOW, WALL, make_live, make_views

NAMES = Names(("llama_cpp",))
RECORDS = (
    record(requested_model="tiny", duration_seconds=2.0, input_tokens=100, cached_tokens=40, tool_calls=1),
    record(requested_model="tiny", duration_seconds=4.0, stream=False, input_tokens=7, cached_tokens=None),
    record(requested_model="big", duration_seconds=1.0, outcome=Outcome.TIMEOUT, provider="other"),
)

counts = st.none() | st.integers(0, 10**9)
records = st.builds(
    record,
    provider=st.sampled_from(["llama_cpp", "other"]),
    requested_model=st.none() | st.sampled_from(["tiny", "big", "llama_cpp:tiny"]),
    response_model=st.none() | st.just("tiny"),
    stream=st.booleans(),
    outcome=st.sampled_from(Outcome),
    started_at=st.floats(0, 4e9),
    duration_seconds=st.floats(0, 1e6),
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
    tool_calls=st.integers(0, 10**6),
)


async def test_overview_and_metrics_page() -> None:
    live, active = make_live(), ActiveRequests()
    for each in RECORDS:
        live.record(each)
    active.start(in_flight(model="tiny", stream=True))
    views = make_views(live, active=active)
    report = yaml.safe_load((await get("/metrics/running-totals?include_active=false", views)).text)
    assert not dashboard.is_disabled(report)
    figures = dashboard.tiles(report)
    assert figures["total_requests"] == 3
    assert figures["active_requests"] == figures["total_errors"] == 1
    assert (figures["cache_read_tokens"], figures["total_tool_calls"]) == (60, 1)
    assert figures["streaming_average_duration_ms"] == 1500
    assert figures["non_streaming_average_duration_ms"] == 4000
    grid = dashboard.provider_grid(report)
    assert {provider: row["mean"] for provider, row in grid.items()} == {"llama_cpp": 3000, "other": 1000}
    assert grid["llama_cpp"]["models"]["tiny"]["requests"] == 2
    rows = dashboard.request_grid((await get("/metrics/active-requests", views)).json())
    assert [row["qualified_model"] for row in rows.values()] == ["llama_cpp:tiny"]


async def test_disabled() -> None:
    views = make_views(recording=False)
    assert dashboard.is_disabled(yaml.safe_load((await get("/metrics/running-totals", views)).text))
    assert (await get("/metrics/active-requests", views)).json()["disabled"] is True
    kind, data = dashboard.event((await get("/metrics/active-requests/stream", views)).text)
    assert (kind, list(data)) == ("disabled", ["disabled", "message", "suggestion"])


@settings(deadline=None)
@given(st.lists(records, max_size=8), st.lists(st.floats(0, 4e9), max_size=4), st.booleans())
def test_all_documents(ended: list[RequestRecord], started: list[float], include_active: bool) -> None:
    live = make_live()
    for each in ended:
        live.record(each)
    active = [in_flight(number, model="tiny", started_at=start) for number, start in enumerate(started)]
    rows = gather(live.totals, active, NAMES, lambda _: None, include_active=include_active)
    report = totals.running_totals(rows, Filter(), len(active))
    figures = dashboard.tiles(dict(report))
    grid = dashboard.provider_grid(dict(report))
    assert figures["total_requests"] == len(ended) + len(active) * include_active
    assert figures["total_requests"] == sum(row["requests"] for row in grid.values())
    shown = dashboard.request_grid(dict(snapshot.snapshot(snapshot.active_requests(active, NAMES, NOW + WALL))))
    assert len(shown) == len(active)
