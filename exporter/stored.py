"""What goes into the store, and comes out of it at the start, in the words of either side: the rooms `live`, `system`
and `store` do not know each other.

`app` translates with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.live.query import resolve_model
from exporter.live.totals import ModelSums, Sums, Totals
from exporter.record import RequestRecord
from exporter.store.figures import StoredTotals
from exporter.store.sample import Sample
from exporter.system.snapshot import Snapshot
from exporter.system.summary import summarize
from exporter.telemetry.guard import UNKNOWN

MICROSECONDS = 1_000_000


def name_model(record: RequestRecord, label: str) -> str | None:
    """The model of a request as all contracts name it; None where it is not known."""
    name = resolve_model(record, label)
    return None if name == UNKNOWN else name


def restore(totals: Totals, stored: Iterable[StoredTotals]) -> None:
    """Let the running totals go on from what was stored."""
    for each in stored:
        sums = Sums(
            requests=each.requests,
            failed=each.failed,
            input_tokens=each.input_tokens,
            output_tokens=each.output_tokens,
            cached_tokens=each.cached_tokens,
            tool_calls=each.tool_calls,
            tool_uses=each.tool_uses,
            tool_results=each.tool_results,
            total_seconds=each.duration_us / MICROSECONDS,
        )
        before = ModelSums(last_wall=each.last_started_us / MICROSECONDS)
        if each.stream:
            before.streamed = sums
        else:
            before.plain = sums
        totals.restore(each.provider, each.model or UNKNOWN, before)


def make_sample(snapshot: Snapshot, in_flight: int, wall: float) -> Sample:
    """What was sampled last, as it is stored."""
    figures = summarize(snapshot)._asdict()
    return Sample(taken_us=round(wall * MICROSECONDS), requests_in_flight=in_flight, **figures)
