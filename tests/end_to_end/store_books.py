"""What a store holds, read past the package with the database's own driver and plain SQL: rows, and sums that are made
anew from the rows alone, to be held against roll-ups, totals and answers.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote

Row = tuple[Any, ...]
Document = dict[str, Any]
STEPS = (60, 3600, 86_400)
DAY_US = 86_400_000_000
FOREVER_US = 2**62

KEYS = (
    "instance, coalesce(model, ''), tier, coalesce(origin, ''), outcome, stream, coalesce(status_code, 0), "
    "coalesce(error_type, ''), coalesce(finish_reason, '')"
)
ROLLUP_KEYS = "instance, model, tier, origin, outcome, stream, status_code, error_type, finish_reason"
ROLLUP_SUMS = (
    "requests, duration_us, token_requests, input_tokens, output_tokens, timed_requests, first_token_us, "
    "last_token_us, speed_requests, speed_sum"
)
COMPLETE = "NOT stream AND outcome = 'completed'"
TIMED = f"({COMPLETE} OR stream AND ttft_us IS NOT NULL AND last_token_us IS NOT NULL)"
FIRST = f"CASE WHEN {COMPLETE} THEN duration_us WHEN {TIMED} THEN ttft_us ELSE 0 END"
LAST = f"CASE WHEN {COMPLETE} THEN duration_us WHEN {TIMED} THEN last_token_us ELSE 0 END"
SUMS = (
    "count(*), sum(duration_us), "
    "sum(CASE WHEN input_tokens IS NULL AND output_tokens IS NULL THEN 0 ELSE 1 END), "
    "sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), "
    f"sum(CASE WHEN {TIMED} THEN 1 ELSE 0 END), sum({FIRST}), sum({LAST}), "
    "count(speed), sum(coalesce(speed, 0))"
)
TOTAL_KEYS = "instance, provider, model, stream"
TOTAL_SUMS = "requests, failed, input_tokens, output_tokens, duration_us"
FAILED = "outcome IN ('upstream_error', 'stream_error', 'timeout', 'rejected')"


class Connection(Protocol):
    """What both drivers' connections can do."""

    def execute(self, statement: Any, parameters: Any = ..., /) -> Any:
        """A cursor."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Books:
    """Of one store, by its URL."""

    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite:///")

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        """A connection that sees one state."""
        connection = self._connect()
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()

    def _connect(self) -> Connection:
        if self.is_sqlite:
            file = unquote(self.url.removeprefix("sqlite:///"))
            return sqlite3.connect(file, timeout=30, isolation_level=None)
        import psycopg  # noqa: PLC0415 - an extra

        connection: Connection = psycopg.connect(self.url, autocommit=True)
        return connection

    def ask(self, statement: str) -> list[Row]:
        """The answer to one statement."""
        with self.opened() as connection:
            return plain(connection, statement)

    def column(self, name: str) -> list[Any]:
        """One column of all requests, in the order of writing."""
        return [value for (value,) in self.ask(f"SELECT {name} FROM requests ORDER BY id")]

    def faults(self) -> list[str]:
        """What is wrong with it: nothing, or a line for each fault."""
        with self.opened() as connection:
            return [*self._broken(connection), *_twice(connection), *_wrong_sums(connection)]

    def _broken(self, connection: Connection) -> Iterator[str]:
        if self.is_sqlite:
            for (word,) in plain(connection, "PRAGMA integrity_check"):
                if word != "ok":
                    yield f"integrity_check: {word}"


def plain(connection: Connection, statement: str) -> list[Row]:
    """Rows whose numbers are Python's, whatever the driver makes of a sum."""
    return [tuple(map(_plain, row)) for row in connection.execute(statement).fetchall()]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | float):
        return value
    return int(value)


def _twice(connection: Connection) -> Iterator[str]:
    again = "SELECT request_id, count(*) FROM requests GROUP BY request_id HAVING count(*) > 1"
    for request_id, count in plain(connection, again):
        yield f"request {request_id}: {count} times"


def _wrong_sums(connection: Connection) -> Iterator[str]:
    """Only where nothing was deleted yet."""
    for step in STEPS:
        start = f"finished_us - finished_us % {step * 1_000_000}"
        fresh = f"SELECT {start}, {KEYS}, {SUMS} FROM requests GROUP BY {start}, {KEYS}"
        kept = f"SELECT start_us, {ROLLUP_KEYS}, {ROLLUP_SUMS} FROM rollups WHERE step = {step}"
        yield from _differences(f"roll-ups of {step} s", plain(connection, fresh), plain(connection, kept))
    keys = TOTAL_KEYS.replace("model", "coalesce(model, '')")
    sums = (
        f"count(*), sum(CASE WHEN {FAILED} THEN 1 ELSE 0 END), sum(coalesce(input_tokens, 0)), "
        "sum(coalesce(output_tokens, 0)), sum(duration_us)"
    )
    fresh = f"SELECT {keys}, {sums} FROM requests GROUP BY {keys}"
    kept = f"SELECT {TOTAL_KEYS}, {TOTAL_SUMS} FROM totals"
    yield from _differences("totals", plain(connection, fresh), plain(connection, kept))


def _differences(what: str, fresh: Sequence[Row], kept: Sequence[Row]) -> Iterator[str]:
    lacking, excess = set(fresh) - set(kept), set(kept) - set(fresh)
    if lacking or excess or len(fresh) != len(kept):
        some = sorted(map(str, lacking))[:2], sorted(map(str, excess))[:2]
        yield f"{what}: {len(lacking)} of {len(fresh)} are not as their rows say; e.g. {some[0]}, stored {some[1]}"


def figures(
    connection: Connection, start_us: int = 0, end_us: int = FOREVER_US, instance: str | None = None
) -> Document:
    """What `/metrics` must answer for a period, both ends included; without the figures of the last 24 hours."""
    within = f"finished_us BETWEEN {start_us} AND {end_us}"
    if instance is not None:
        within += " AND instance = '{}'".format(instance.replace("'", "''"))
    by = "stream, outcome, model, origin, finish_reason"
    groups = plain(connection, f"SELECT {by}, {SUMS} FROM requests WHERE {within} GROUP BY {by}")
    whole, streamed = _sums(groups), _sums(group for group in groups if group[0])
    good = _sums(group for group in groups if group[1] == "completed")
    return {
        "total_requests": whole["requests"],
        "successful_requests": good["requests"],
        "failed_requests": whole["requests"] - good["requests"],
        "streaming_requests": streamed["requests"],
        "non_streaming_requests": whole["requests"] - streamed["requests"],
        "total_tokens_used": whole["input_tokens"] + whole["output_tokens"],
        "avg_tokens_per_request": _mean(whole["input_tokens"] + whole["output_tokens"], whole["token_requests"]),
        "avg_response_time_ms": _mean(good["duration_us"], good["requests"] * 1000),
        "avg_tokens_per_second": _mean(whole["speed_sum"], whole["speed_requests"] * 1_000_000),
        "avg_time_to_first_token_ms": _mean(streamed["first_token_us"], streamed["timed_requests"] * 1000),
        "avg_time_to_last_token_ms": _mean(streamed["last_token_us"], streamed["timed_requests"] * 1000),
        "model_distribution": _counts(groups, 2),
        "origin_distribution": _counts(groups, 3),
        "finish_reasons": [{"reason": reason, "count": count} for reason, count in _counts(groups, 4).items()],
    }


def _sums(groups: Iterable[Row]) -> dict[str, int]:
    names = ROLLUP_SUMS.split(", ")
    sums = [0] * len(names)
    for group in groups:
        sums = [mine + its for mine, its in zip(sums, group[-len(names) :], strict=True)]
    return dict(zip(names, sums, strict=True))


def _mean(total: int, count: int) -> float | None:
    return round(total / count, 2) if count else None


def _counts(groups: Iterable[Row], column: int) -> dict[str, int]:
    """Requests by the names in a column: the most frequent first, then by name."""
    counts: Counter[str] = Counter()
    for group in groups:
        if group[column]:
            counts[group[column]] += group[-len(ROLLUP_SUMS.split(", "))]
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
