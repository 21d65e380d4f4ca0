"""When content arrived: time to first token, last token, and the gaps between chunks. Fed by `stream.StreamReader`."""

from __future__ import annotations

from bisect import bisect_left

from exporter.record import GapHistogram


class ContentClock:
    """Monotonic arrival times of the content chunks of one stream, in bounded memory."""

    __slots__ = ("_bounds", "_counts", "_total", "chunks", "first", "last", "longest")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts: list[int] = []
        self._total = 0.0
        self.chunks = 0
        """Content chunks so far."""
        self.first: float | None = None
        self.last = 0.0
        """Of the last chunk; meaningless before the first."""
        self.longest = 0.0
        """The longest gap so far, in seconds."""

    def tick(self, now: float) -> None:
        """One more chunk with content arrived."""
        self.chunks += 1
        if self.first is None:
            self.first = self.last = now
            self._counts = [0] * (len(self._bounds) + 1)
            return
        gap = now - self.last
        self.last = now
        self._total += gap
        if gap > self.longest:  # noqa: PLR1730 - once per token: max() takes four times as long
            self.longest = gap
        self._counts[bisect_left(self._bounds, gap)] += 1

    def histogram(self) -> GapHistogram | None:
        """The gaps; None when there was none."""
        if self.chunks < 2:
            return None
        return GapHistogram(self._bounds, tuple(self._counts), self._total, self.longest)

    def tokens_per_second(self, tokens: int | None) -> float | None:
        """(n - 1) / (last - first), for `tokens` tokens in this stream; None when there is no interval to measure."""
        if tokens is None or tokens < 2 or self.first is None or self.last <= self.first:
            return None
        return (tokens - 1) / (self.last - self.first)
