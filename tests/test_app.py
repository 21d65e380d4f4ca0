"""The sidecar as `app` wires it: what is traced, and that everything is let go of at the end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from exporter.app import NOTHING_PUSHED, _Sidecar
from exporter.settings import Settings
from exporter.settings.otel import CONSOLE, OtelSettings, SignalSettings
from exporter.system.snapshot import HealthSnapshot, LlamaServerSnapshot, ServerState
from tests.otel.exports import logged, loud_again

SHOWN = SignalSettings(frozenset((CONSOLE,)))
BOTH = OtelSettings(SHOWN, SHOWN)


def sidecar(otel: OtelSettings = NOTHING_PUSHED, *, recording: bool = True) -> _Sidecar:
    """One that is not started, and keeps no history."""
    settings: dict[str, Any] = {"store": {"url": "none"}, "metrics": {"enabled": recording}}
    return _Sidecar(Settings(**settings), otel)


@pytest.mark.parametrize(
    ("recording", "otel", "traced", "pushed"),
    [
        (True, BOTH, True, True),
        (True, OtelSettings(metrics=SHOWN), False, True),
        (False, BOTH, False, True),
        (False, OtelSettings(traces=SHOWN), False, False),
    ],
    ids=["both", "metrics", "both, nothing recorded", "traces, nothing recorded"],
)
async def test_without_records_there_are_no_traces(
    recording: bool, otel: OtelSettings, traced: bool, pushed: bool
) -> None:
    """Nothing would be known of a request, and nobody would end its span."""
    with loud_again():
        made = sidecar(otel, recording=recording)
        assert ("traces" in made.sinks()) is traced
        assert (made.forwarder._tracing is not None) is traced
        assert (made.otel is not None) is pushed
        assert (made.otel is not None and "otel_metrics" in made.otel.work) is pushed
        await made.end_writing()


async def test_since_when_an_upstream_is_up_goes_by_the_looks_that_tell_whether_it_is() -> None:
    """A health check alone calls one ready that refuses our key: its beginning would move with every look."""
    made = sidecar()
    views, name = made.views(), made.upstreams[0].name
    assert views.since() == {}
    refused = LlamaServerSnapshot(name, ("unknown",), ServerState.ERROR, error="refuses the API key")
    made.note_sample(refused)
    began = views.since()
    assert set(began) == {name}
    made.note_sample(HealthSnapshot(name, ServerState.READY))
    made.note_sample(refused)
    assert views.since() == began
    made.since.note(name, up=True, wall=0.0)
    made.note_sample(replace(refused, state=ServerState.BUSY))
    assert views.since() == {name: 0.0}, "busy is up"


class End:
    """The store's writer, or what pushes; it ends when the other has begun to."""

    def __init__(self, both: asyncio.Barrier, error: Exception | None) -> None:
        self.writer = self
        self.ended = False
        self._both = both
        self._error = error

    async def close(self) -> None:
        await self._both.wait()
        if self._error is not None:
            raise self._error
        await asyncio.sleep(0)
        self.ended = True


@pytest.mark.parametrize("breaks", ["store", "otel"])
async def test_both_ends_are_reached_when_one_breaks(breaks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, both = sidecar(), asyncio.Barrier(2)
    ends = {name: End(both, RuntimeError("broken") if name == breaks else None) for name in ("store", "otel")}
    for name, end in ends.items():
        monkeypatch.setattr(made, name, end)
    with logged(logging.WARNING) as lines:
        async with asyncio.timeout(5):
            await made.end_writing()
    assert [name for name, end in ends.items() if end.ended] == [name for name in ends if name != breaks]
    (line,) = lines
    assert (line.levelname, line.exc_info and str(line.exc_info[1])) == ("ERROR", "broken")
