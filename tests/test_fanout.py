"""Every sink gets every record; one that fails is counted and harms nobody."""

from __future__ import annotations

import logging

import pytest

from exporter.fanout import Fanout
from exporter.observe.observation import Look, Observation
from exporter.record import Outcome, RequestRecord


def record() -> RequestRecord:
    observation = Observation(
        now=0.0, wall=0.0, request_id="1", method="GET", path="/", query=b"", headers=[], look=Look()
    )
    return observation.finish(1.0, Outcome.CLIENT_GONE)


def test_a_failing_sink_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    first: list[RequestRecord] = []
    last: list[RequestRecord] = []

    def fail(_: RequestRecord) -> None:
        raise ValueError("full")

    fanout = Fanout({"first": first.append, "broken": fail, "last": last.append})
    one, two = record(), record()
    with caplog.at_level(logging.ERROR):
        fanout.emit(one)
        fanout.emit(two)
    assert first == last == [one, two]
    assert fanout.errors == {"first": 0, "broken": 2, "last": 0}
    assert len(caplog.records) == 1
