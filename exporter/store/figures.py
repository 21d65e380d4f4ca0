"""What the store answers, and how it fares: types that need no database, so that those who read them load none.

`reader` makes the answers, `writer` the status; the room of the history contract and the telemetry read them. Times are
UTC microseconds since the epoch, durations microseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

QUEUE_FULL = "queue_full"
REFUSED = "refused"
"""The database would not have it."""
SHUTDOWN = "shutdown"
DROP_REASONS = (QUEUE_FULL, REFUSED, SHUTDOWN)
"""Why the store never has a record."""
SEARCHED = 50_000
"""Requests that are looked through for those that a filter admits: a rare one shall not cost a look at all of them."""
NAMES_LIMIT = 1000
"""Models, and origins, that are told apart in `Figures`: those with the most requests."""


class Period(NamedTuple):
    """Requests that finished within it, both ends included."""

    start_us: int | None = None
    """None: from the beginning."""
    end_us: int | None = None
    """None: until now."""
    instance: str | None = None
    """Of one sidecar; None: of all."""


class Sums(NamedTuple):
    """Over requests."""

    requests: int = 0
    duration_us: int = 0
    token_requests: int = 0
    """Those of which tokens are known."""
    input_tokens: int = 0
    output_tokens: int = 0
    timed_requests: int = 0
    """Those with a first and a last token; an answer that was not streamed has both when it is complete."""
    first_token_us: int = 0
    """From the start of the request."""
    last_token_us: int = 0
    speed_requests: int = 0
    """Those of which output tokens, and the time to the last of them, are known and not 0."""
    speed_sum: int = 0
    """Of output tokens per million seconds to the last token."""

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(mine + its for mine, its in zip(self, other, strict=True)))


class Group(NamedTuple):
    """Requests that have these in common."""

    outcome: str
    """An `Outcome`."""
    stream: bool
    status_code: int | None
    error_type: str | None
    """As in records."""
    finish_reason: str | None
    sums: Sums


class Figures(NamedTuple):
    """A period in figures."""

    groups: tuple[Group, ...]
    models: tuple[tuple[str, int], ...]
    """Names and requests: the most requests first, then by name; requests without a name are left out."""
    origins: tuple[tuple[str, int], ...]
    """The same."""
    recent: int
    """Requests of the last 24 hours before now, whatever the period; of the instance, if one was asked for."""


class StoredRequest(NamedTuple):
    """One finished request, as far as the history contract shows it. None: unknown."""

    id: int
    finished_us: int
    duration_us: int
    outcome: str
    stream: bool
    status_code: int | None
    error_type: str | None
    """As in records."""
    finish_reason: str | None
    model: str | None
    origin: str | None
    message_count: int | None
    input_tokens: int | None
    output_tokens: int | None
    ttft_us: int | None
    """None also where the answer was not streamed."""
    last_token_us: int | None


class Filter(NamedTuple):
    """Which of the newest requests. None, and (): whatever it is."""

    instance: str | None = None
    model: str | None = None
    tier: str | None = None
    outcomes: tuple[str, ...] = ()
    """One of these."""
    behind: int = 0
    """Only those with a higher `id`: stored later than that one."""


class StoredCourse(NamedTuple):
    """One finished request, with where its time went. None: unknown."""

    id: int
    request_id: str
    finished_us: int
    duration_us: int
    outcome: str
    operation: str
    stream: bool
    upstream: str | None
    tier: str
    model: str | None
    requested_model: str | None
    origin: str | None
    status_code: int | None
    error_type: str | None
    finish_reason: str | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    output_tokens_per_second: float | None
    attempts: int
    overhead_us: int | None
    ttft_us: int | None
    last_token_us: int | None
    queue_us: int | None
    prompt_us: int | None
    generation_us: int | None
    complexity: str | None
    wanted_tier: str | None
    fallback: bool | None
    trace_id: str | None
    """32 hexadecimal digits; None where it is part of no sampled trace."""


class StoredTotals(NamedTuple):
    """Sums over everything that one sidecar ever stored of one model of one provider, streamed or not."""

    provider: str
    model: str
    """'' where it is unknown."""
    stream: bool
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    tool_calls: int
    tool_uses: int
    tool_results: int
    duration_us: int
    last_started_us: int
    """When the newest of them began."""


class Cursor(NamedTuple):
    """A place in the list of requests, newest first: behind this one."""

    finished_us: int
    id: int


class MachinePoint(NamedTuple):
    """A bin of time of one sidecar: what its machine was doing, and what was asked of it. None: unknown."""

    start_us: int
    """A multiple of the bin's length."""
    cpu_utilization: float | None
    """0 to 1, the mean over the minutes of which there are samples; so are the other three."""
    memory_utilization: float | None
    """0 to 1."""
    gpu_utilization: float | None
    """0 to 1, the mean of all GPUs."""
    gpu_power_watts: float | None
    """Of all GPUs together."""
    requests: int
    """Those that finished within the bin."""
    failed: int
    duration_us: int
    """Sum over `requests`."""


class Past(Protocol):
    """What the rooms may ask of the store. Every call can raise StoreError: the database is away, or not yet there."""

    async def figures(self, period: Period, now_us: int) -> Figures:
        """Sums over a period."""
        ...

    async def page(
        self, period: Period, after: Cursor | None, count: int, shape: Callable[[Sequence[StoredRequest]], T]
    ) -> tuple[T, Cursor | None]:
        """The next `count` requests, newest first, as `shape` makes them: it is called in another thread, so that to
        write thousands of rows as text holds up nobody. With the place behind the last of them; None: that was all."""
        ...

    async def newest(self, which: Filter, count: int, shape: Callable[[Sequence[StoredCourse]], T]) -> T:
        """At most `count` of the `SEARCHED` requests that were stored last, by one sidecar where the filter names it,
        newest first, as `shape` makes them; it is called in another thread."""
        ...

    async def machine(self, start_us: int, end_us: int, step_seconds: int, instance: str) -> list[MachinePoint]:
        """The bins of `step_seconds`, whole minutes, from the one that `start_us` is in up to `end_us` (left out), each
        as a whole, oldest first. Those without samples and requests are left out."""
        ...

    async def check(self) -> str | None:
        """Whether the store answers. Returned is why nothing can be written to it now; None where that is possible."""
        ...


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How the writer fares."""

    up: bool
    """Whether the store is open, and the last batch was written."""
    queue_length: int
    """Requests and samples that wait."""
    queue_limit: int
    written: int
    """Records and samples that were written since the start of the process."""
    dropped: Mapping[str, int]
    """Those that were not, by each of `DROP_REASONS`."""
    write_seconds: float
    """Spent with writing since the start of the process."""
    size_bytes: int | None
    """Of everything in the store on its disk; None while unknown."""
