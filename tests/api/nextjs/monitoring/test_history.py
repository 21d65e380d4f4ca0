"""The past of the machine: what is asked for, its steps, and what front ends draw of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.api.nextjs.monitoring.history import (
    CHARTED,
    Present,
    Span,
    charts,
    history_point,
    present,
    read_span,
    written,
)
from exporter.api.nextjs.slices import SLICE
from exporter.models.model import InvalidError
from exporter.store.figures import MachinePoint
from exporter.system.snapshot import Snapshot
from tests import nextjs_document
from tests.api.nextjs import typed
from tests.api.views import WALL, Clock, make_live, make_views
from tests.telemetry.examples import SNAPSHOT, record

START_US = 1_705_312_500_000_000
"""2024-01-15T09:55:00Z"""
FIRST = MachinePoint(START_US, 0.423, 0.651, 0.784, 220.5, 12, 0, 12 * 234_000)
SECOND = MachinePoint(START_US + 300_000_000, 0.452, 0.678, 0.855, 260.0, 15, 1, 15 * 245_000)
SPAN = Span(1_705_226_400.0, 1_705_312_800.0, "5m")
LATER = SPAN._replace(end=SPAN.end + 90)
ARRAYS = ("cpu", "memory", "requests", "gpuUtil", "power")


NOW = Present(SPAN.end, 12.5, 25.0, 4.0, 50.0, 300.0)
NEVER = Present(SPAN.end)


async def document(points: Sequence[MachinePoint], now: Present, span: Span = SPAN) -> Any:
    """As it is sent."""
    return json.loads(await written(span, points, now))


async def test_the_document_to_the_letter() -> None:
    found = await document([FIRST, SECOND], NEVER)
    assert typed.differences(nextjs_document.HISTORY, found) == []
    assert found["period"] == {
        "start": "2024-01-14T10:00:00.000Z",
        "end": "2024-01-15T10:00:00.000Z",
        "resolution": "5m",
    }
    assert found["metrics"] == [
        {
            "timestamp": "2024-01-15T09:55:00.000Z",
            "cpu": 42.3,
            "memory": 65.1,
            "gpu": 78.4,
            "requests": 12,
            "responseTime": 234.0,
        },
        {
            "timestamp": "2024-01-15T10:00:00.000Z",
            "cpu": 45.2,
            "memory": 67.8,
            "gpu": 85.5,
            "requests": 15,
            "responseTime": 245.0,
        },
    ]
    assert found["summary"] == {
        "avgCpu": 43.75,
        "maxCpu": 45.2,
        "avgMemory": 66.45,
        "maxMemory": 67.8,
        "totalRequests": 27,
        "avgResponseTime": 239.5,
    }


def test_steps_of_which_something_is_not_known() -> None:
    point = history_point(MachinePoint(START_US, None, None, None, None, 0, 0, 0))
    assert point == {
        "timestamp": "2024-01-15T09:55:00.000Z",
        "cpu": None,
        "memory": None,
        "requests": 0,
        "responseTime": None,
    }


async def test_nothing_at_all() -> None:
    found = await document([], NEVER)
    assert found["metrics"] == []
    assert found["summary"] == {
        "avgCpu": None,
        "maxCpu": None,
        "avgMemory": None,
        "maxMemory": None,
        "totalRequests": 0,
        "avgResponseTime": None,
    }
    assert found["data"] == {name: [] for name in ARRAYS}


async def test_a_long_one_is_whole() -> None:
    many = [FIRST._replace(start_us=START_US + 60_000_000 * number) for number in range(2 * SLICE + 7)]
    found = await document(many, NEVER)
    assert [each["timestamp"] for each in found["metrics"]] == [history_point(each)["timestamp"] for each in many]


def draw(document: Any) -> dict[str, list[tuple[str, float]]]:
    """As the dashboard of the last front end reads it; where it finds nothing it makes something up."""
    assert document["success"] is True
    assert len(document["data"]["cpu"]) > 0
    drawn = {}
    for name in ARRAYS:
        for point in document["data"][name]:
            assert type(point["time"]) is str
            assert type(point["value"]) is float
        drawn[name] = [(point["displayTime"], point["value"]) for point in document["data"][name]]
    return drawn


async def test_charts_have_the_steps_and_the_present() -> None:
    drawn = draw(await document([FIRST, SECOND], NOW._replace(sampled_at=LATER.end), LATER))
    assert drawn["cpu"] == [("09:55:00", 42.3), ("10:00:00", 45.2), ("10:01:30", 12.5)]
    assert drawn["memory"][-1] == ("10:01:30", 25.0)
    assert drawn["requests"] == [("09:55:00", 2.4), ("10:00:00", 10.0), ("10:01:30", 4.0)], "per minute, of steps too"
    assert drawn["gpuUtil"] == [("09:55:00", 78.4), ("10:00:00", 85.5), ("10:01:30", 50.0)]
    assert drawn["power"][:2] == [("09:55:00", 220.5), ("10:00:00", 260.0)]


async def test_charts_leave_out_a_step_that_has_just_begun() -> None:
    span = SPAN._replace(end=SPAN.end + 59.9)
    drawn = draw(await document([FIRST, SECOND], NOW, span))
    assert drawn["requests"] == [("09:55:00", 2.4), ("10:00:00", 4.0)]
    drawn = draw(await document([FIRST, SECOND], NOW, span._replace(end=SPAN.end + 60.0)))
    assert drawn["requests"] == [("09:55:00", 2.4), ("10:00:00", 15.0), ("10:01:00", 4.0)], "the sample is older"


def test_charts_have_as_many_steps_when_the_last_one_has_just_begun() -> None:
    many = [FIRST._replace(start_us=START_US + 60_000_000 * number) for number in range(2 * CHARTED)]
    found = charts(SPAN._replace(end=many[-1].start_us / 1e6 + 5), many, NOW)
    assert len(found["cpu"]) == CHARTED


async def test_times_of_several_days_are_told_apart() -> None:
    yesterday = FIRST._replace(start_us=START_US - 86_400_000_000)
    drawn = draw(await document([yesterday, FIRST], NOW))
    assert [time for time, _ in drawn["cpu"]] == ["01-14 09:55:00", "01-15 09:55:00", "01-15 10:00:00"]


async def test_charts_of_an_empty_store_have_the_present() -> None:
    drawn = draw(await document([], NOW))
    assert drawn["cpu"] == [("10:00:00", 12.5)]
    assert drawn["requests"] == [("10:00:00", 4.0)]


@pytest.mark.parametrize("steps", [0, 1, 30, CHARTED - 1, CHARTED, 10_080])
def test_charts_have_the_same_times_and_as_many_as_the_page_keeps(steps: int) -> None:
    many = [FIRST._replace(start_us=round(SPAN.start * 1e6) + 60_000_000 * number) for number in range(steps)]
    gaps = [each._replace(gpu_utilization=None) if number % 2 else each for number, each in enumerate(many)]
    found: Any = charts(SPAN._replace(end=SPAN.start + 60 * (steps + 1)), gaps, NOW)
    times = [[each["time"] for each in found[name]] for name in ARRAYS]
    assert times == [times[0]] * len(ARRAYS)
    assert len(times[0]) == min(steps + 1, CHARTED)
    assert times[0] == sorted(times[0])


def test_what_is_not_known_is_a_gap_and_what_never_is_not_there() -> None:
    first = FIRST._replace(cpu_utilization=None, gpu_utilization=None, gpu_power_watts=None)
    second = SECOND._replace(gpu_utilization=None)
    found = charts(LATER, [first, second], Present(LATER.end, memory=25.0))
    assert [each["value"] for each in found["cpu"]] == [None, 45.2, None]
    assert [each["value"] for each in found["requests"]] == [2.4, 10.0, None]
    assert [each["value"] for each in found["power"]] == [None, 260.0, None]
    assert found["gpuUtil"] == []


def test_the_present_is_that_of_the_sample_and_of_the_last_minute() -> None:
    live = make_live()
    views = make_views(live, snapshot=lambda: SNAPSHOT)
    now = present(views)
    assert (now.sampled_at, now.cpu, now.memory, now.requests) == (WALL - 5, 12.5, 25.0, 0.0)
    assert (now.gpu, now.power) == (75.0, 350.5)
    live.record(record())
    later = Clock()
    later.now += 20
    assert present(make_views(live, later, snapshot=lambda: SNAPSHOT)).requests == 1.0
    unknown = present(make_views(live, recording=False, snapshot=Snapshot))
    assert unknown == Present(WALL)


@pytest.mark.parametrize(
    ("query", "hours", "resolution", "step"),
    [
        ({}, 24, "5m", 300),
        ({"hours": "1", "resolution": "1m"}, 1, "1m", 60),
        ({"hours": "168", "resolution": "1h"}, 168, "1h", 3600),
        ({"hours": " 2.5 ", "resolution": "15m", "limit": "60"}, 2.5, "15m", 900),
        ({"hours": "", "resolution": ""}, 24, "5m", 300),
        ({"hours": "1.5e1"}, 15, "5m", 300),
    ],
)
def test_what_is_asked_for(query: dict[str, str], hours: float, resolution: str, step: int) -> None:
    span = read_span(query, WALL)
    assert (span.end - span.start, span.end, span.resolution) == (hours * 3600, WALL, resolution)
    assert span.step_seconds == step


@pytest.mark.parametrize(
    "hours", ["0", "0.99", "169", "168.1", "-1", "nan", "inf", "1e300", "x", "9" * 400, "0x10", "١"]
)
@pytest.mark.parametrize("resolution", ["5m", "2m", "5M", "5 m"])
def test_what_makes_no_sense(hours: str, resolution: str) -> None:
    with pytest.raises(InvalidError) as raised:
        read_span({"hours": hours, "resolution": resolution}, WALL)
    wrong = {"hours": "must be a number from 1 to 168"}
    if resolution != "5m":
        wrong["resolution"] = "must be one of 1m, 5m, 15m, 1h"
    assert raised.value.fields == wrong
