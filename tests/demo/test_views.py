from __future__ import annotations

import pytest

from exporter.demo.kinds import Kind
from exporter.demo.plan import plan
from exporter.demo.views import ClientView, Result, TrafficCounts


@pytest.mark.parametrize(
    ("kind", "result", "status", "cut_off", "failed"),
    [
        (Kind.CHAT, Result.COMPLETED, 200, 0, 0),
        (Kind.CHAT, Result.REFUSED, 503, 0, 1),
        (Kind.CHAT, Result.BROKEN, None, 0, 1),
        (Kind.CHAT, Result.BROKEN, 200, 1, 0),
        (Kind.CHAT_STREAM, Result.STREAM_ERROR, 200, 1, 0),
        (Kind.BAD_JSON, Result.REFUSED, 400, 0, 0),
        (Kind.BAD_JSON, Result.REFUSED, 502, 0, 1),
        (Kind.BAD_JSON, Result.COMPLETED, 200, 0, 1),
        (Kind.LEAVE_EARLY, Result.LEFT, None, 0, 0),
        (Kind.LEAVE_EARLY, Result.COMPLETED, 200, 0, 0),
        (Kind.LEAVE_EARLY, Result.REFUSED, 503, 0, 1),
        (Kind.LEAVE_MIDWAY, Result.LEFT, 200, 0, 0),
        (Kind.LEAVE_MIDWAY, Result.COMPLETED, 200, 0, 0),
        (Kind.LEAVE_MIDWAY, Result.BROKEN, 200, 1, 0),
    ],
)
def test_what_is_not_on_purpose_is_told_apart(
    kind: Kind, result: Result, status: int | None, cut_off: int, failed: int
) -> None:
    counts = TrafficCounts()
    (asked,) = plan(1, 1, {kind})
    counts.add(asked, ClientView(kind, result, status, 0.1))
    assert (counts.cut_off, counts.failed) == (cut_off, failed)
    assert counts.by_result() == {result: 1}
