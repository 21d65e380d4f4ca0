"""What the demo's clients saw of their requests, and whether that is what they were meant to see.

`traffic` makes these; `run` and the end-to-end tests read them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.demo.kinds import LEAVING_KINDS, Kind
from exporter.demo.plan import Exchange


class Result(StrEnum):
    """How a request ended for the client."""

    COMPLETED = "completed"
    REFUSED = "refused"
    """A status of 400 or above."""
    STREAM_ERROR = "stream_error"
    """An error inside a stream that had begun with 200."""
    LEFT = "left"
    """The client went."""
    BROKEN = "broken"
    """No connection, or an answer that was broken off."""


@dataclass(frozen=True, slots=True)
class ClientView:
    """What the client saw of one exchange."""

    kind: Kind
    result: Result
    status: int | None
    """None when it saw none."""
    duration_seconds: float
    ttft_seconds: float | None = None
    """From sending to the first chunk with content; None when there was none or it was no stream."""
    content_chunks: int = 0
    """Streamed chunks with content."""
    error: str | None = None
    """What broke, when it did."""

    @property
    def aborted(self) -> bool:
        """Whether the client left."""
        return self.result is Result.LEFT


def as_planned(asked: Exchange, view: ClientView) -> bool:
    """Whether a request ended as its client had meant it to: some are wrong, and some are left, on purpose."""
    if view.result is Result.LEFT:
        return asked.kind in LEAVING_KINDS
    if asked.kind is Kind.LEAVE_EARLY:
        return view.result is Result.COMPLETED  # it was served before its client went
    return view.status == asked.expected_status and view.result in (Result.COMPLETED, Result.REFUSED)


@dataclass(slots=True)
class TrafficCounts:
    """Requests by kind and result, as the clients saw them."""

    counts: Counter[tuple[Kind, Result]] = field(default_factory=Counter)
    cut_off: int = 0
    """Answers that had begun and were not brought to their end: no other server can go on with them."""
    failed: int = 0
    """All others that did not end as planned."""

    def add(self, asked: Exchange, view: ClientView) -> None:
        """Count one."""
        self.counts[view.kind, view.result] += 1
        if as_planned(asked, view):
            return
        if view.status == 200 and view.result in (Result.BROKEN, Result.STREAM_ERROR):
            self.cut_off += 1
        else:
            self.failed += 1

    @property
    def total(self) -> int:
        """All requests."""
        return self.counts.total()

    def by_result(self) -> dict[Result, int]:
        """Requests of all kinds by result; results that never came are left out."""
        sums = {result: sum(n for (_, r), n in self.counts.items() if r is result) for result in Result}
        return {result: count for result, count in sums.items() if count}
