"""Who is in flight, and when an upstream last worked."""

from __future__ import annotations

from exporter.live.active import ActiveRequests
from exporter.observe.observation import Look, Observation


def observation(upstream: str | None) -> Observation:
    made = Observation(
        now=0.0,
        wall=0.0,
        request_id="1",
        method="POST",
        path="/v1/chat/completions",
        query=b"",
        headers=[],
        look=Look(),
    )
    if upstream is not None:
        made.route(upstream=upstream, provider="llama_cpp", tier="Q4")
    return made


def test_starts_and_ends_are_followed() -> None:
    active = ActiveRequests()
    one, two = observation("a"), observation(None)
    active.start(one)
    active.start(two)
    assert len(active) == 2
    assert set(active) == {one, two}
    active.end(two, 1.0)
    assert set(active) == {one}
    assert active.version == 3


def test_last_active() -> None:
    active = ActiveRequests()
    one = observation("a")
    assert active.last_active("a", 5.0) is None
    active.start(one)
    assert active.last_active("a", 5.0) == 5.0
    active.end(one, 7.0)
    assert active.last_active("a", 9.0) == 7.0
    assert active.last_active("b", 9.0) is None
