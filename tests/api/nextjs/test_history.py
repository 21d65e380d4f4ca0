"""The past of the machine: what is asked for, its steps, and what front ends draw of it."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.api.documents import encode
from exporter.api.nextjs.history import CHARTED, Span, charts, frame, history, history_point, read_span, write
from exporter.models.model import InvalidError
from exporter.store.figures import MachinePoint
from exporter.system.summary import summarize
from tests.api.nextjs import typed
from tests.api.views import WALL
from tests.telemetry.examples import SNAPSHOT

START_US = 1_705_312_500_000_000
"""2024-01-15T09:55:00Z"""
FIRST = MachinePoint(START_US, 0.423, 0.651, 0.784, 220.5, 12, 0, 12 * 234_000)
SECOND = MachinePoint(START_US + 300_000_000, 0.452, 0.678, 0.855, 260.0, 15, 1, 15 * 245_000)
SPAN = Span(1_705_226_400.0, 1_705_312_800.0, "5m")
ARRAYS = ("cpu", "memory", "requests", "gpuUtil", "power")


def test_the_document_to_the_letter() -> None:
    document = history(SPAN, [FIRST, SECOND], None)
    assert typed.differences(typed.HISTORY, document) == []
    assert document["period"] == {
        "start": "2024-01-14T10:00:00.000Z",
        "end": "2024-01-15T10:00:00.000Z",
        "resolution": "5m",
    }
    assert document["metrics"] == [
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
    assert document["summary"] == {
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


def test_nothing_at_all() -> None:
    document = history(SPAN, [], None)
    assert document["metrics"] == []
    assert document["summary"] == {
        "avgCpu": None,
        "maxCpu": None,
        "avgMemory": None,
        "maxMemory": None,
        "totalRequests": 0,
        "avgResponseTime": None,
    }
    assert document["data"] == {name: [] for name in ARRAYS}


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


def test_charts_have_the_steps_and_the_present() -> None:
    drawn = draw(history(SPAN, [FIRST, SECOND], summarize(SNAPSHOT)))
    assert drawn["cpu"] == [("09:55", 42.3), ("10:00", 45.2), ("10:00", 12.5)]
    assert drawn["memory"][-1] == ("10:00", 25.0)
    assert drawn["requests"] == [("09:55", 2.4), ("10:00", 15.0)], "per minute, of the second step's first one"
    assert drawn["gpuUtil"][:2] == [("09:55", 78.4), ("10:00", 85.5)]
    assert drawn["power"][:2] == [("09:55", 220.5), ("10:00", 260.0)]


def test_charts_of_an_empty_store_have_the_present() -> None:
    drawn = draw(history(SPAN, [], summarize(SNAPSHOT)))
    assert drawn["cpu"] == [("10:00", 12.5)]
    assert drawn["requests"] == []


def test_charts_are_short() -> None:
    many = [FIRST._replace(start_us=START_US + 60_000_000 * number) for number in range(10_080)]
    found = charts(SPAN, many, summarize(SNAPSHOT))
    assert len(found["cpu"]) == CHARTED
    assert found["cpu"][-2]["time"] == "2024-01-22T09:54:00.000Z"


def test_written_in_slices_it_is_the_same() -> None:
    points = [FIRST, SECOND, FIRST]
    pieces = [encode([history_point(each) for each in part])[1:-1] for part in (points[:2], points[2:])]
    assert write(frame(SPAN, points, None), pieces) == encode(history(SPAN, points, None))
    assert write(frame(SPAN, [], None), []) == encode(history(SPAN, [], None))


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
