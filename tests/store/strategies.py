"""Random requests, periods and batches: few values each, so that they fall together."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from exporter.record import Outcome
from exporter.store.figures import Period
from exporter.store.rows import Finished
from tests.store.requests import DAY_US, HOUR_US, MIDNIGHT_US, MINUTE_US, Told, finished

INSTANCES = ("a:1", "b:1", "ä")
BORDERS = [
    MIDNIGHT_US + day * DAY_US + hour * HOUR_US + minute * MINUTE_US
    for day in (0, 1, 2)
    for hour in (0, 1, 23)
    for minute in (0, 1, 59)
]

moments = st.builds(
    lambda border, offset: border + offset,
    st.sampled_from(BORDERS),
    st.sampled_from([-1, 0, 0, 1]) | st.integers(-MINUTE_US - 1, MINUTE_US + 1),
)
"""Around the borders of minutes, hours and days, often in the same microsecond."""
texts = st.sampled_from([None, "", "stop", "Stop", "zz", "ä", "a\N{GRINNING FACE}", "'; --", "%s"])
amounts = st.none() | st.sampled_from([0, 1, 7, 10**6])
seconds = st.none() | st.sampled_from([0.0, 0.000_001, 0.25]) | st.integers(0, 10**8).map(lambda us: us / 1_000_000)
durations = st.integers(0, 10**7).map(lambda us: us / 1_000_000)


@st.composite
def requests(draw: st.DrawFn) -> Finished:
    changes: dict[str, Any] = {
        "outcome": draw(st.sampled_from(list(Outcome))),
        "stream": draw(st.booleans()),
        "status_code": draw(st.sampled_from([None, 200, 429, 502])),
        "error_type": draw(texts),
        "finish_reasons": draw(st.sampled_from([(), ("stop",), ("length", "stop"), ("",)])),
        "origin": draw(texts),
        "tier": draw(st.sampled_from(["Q2", "Q4"])),
        "input_tokens": draw(amounts),
        "output_tokens": draw(amounts),
        "ttft_seconds": draw(seconds),
        "last_token_seconds": draw(seconds),
        "duration_seconds": draw(durations),
    }
    return finished(draw(moments), model=draw(texts), **changes)


batches = st.lists(st.tuples(st.sampled_from(INSTANCES), st.lists(requests(), max_size=6)), max_size=5)
"""Who wrote, and what."""
ends = st.none() | moments
instances = st.none() | st.sampled_from([*INSTANCES, "nobody"])


@st.composite
def periods(draw: st.DrawFn) -> Period:
    start, end = draw(ends), draw(ends)
    if start is not None and draw(st.booleans()):
        end = start + draw(st.sampled_from([-1, 0, 1, MINUTE_US - 1, HOUR_US - 1, DAY_US - 1, DAY_US]))
    return Period(start, end, draw(instances))


def told(batch: tuple[str, list[Finished]]) -> list[Told]:
    instance, written = batch
    return [Told(instance, each) for each in written]
