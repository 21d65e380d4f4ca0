"""A store in memory, as far as this room asks it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

from exporter.errors import StoreError
from exporter.store.figures import Filter, Past, StoredCourse
from tests.api.views import WALL

T = TypeVar("T")
WALL_US = round(WALL) * 1_000_000


def course(number: int = 1, **changes: Any) -> StoredCourse:
    """A streamed chat that went well, `number` milliseconds before now."""
    request = StoredCourse(
        id=10_000_000 - number,
        request_id=f"{number:016x}",
        finished_us=WALL_US - number * 1000,
        duration_us=2_504_000,
        outcome="completed",
        operation="chat",
        stream=True,
        upstream="gpu",
        tier="Q4",
        model="tiny-q4",
        requested_model="auto",
        origin="http://chat.lan",
        status_code=200,
        error_type=None,
        finish_reason="stop",
        input_tokens=100,
        cached_tokens=60,
        output_tokens=50,
        output_tokens_per_second=21.3,
        attempts=2,
        overhead_us=123,
        ttft_us=150_000,
        last_token_us=2_500_000,
        queue_us=10_000,
        prompt_us=140_000,
        generation_us=2_350_000,
        complexity="SIMPLE",
        wanted_tier="Q2",
        fallback=True,
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )
    return request._replace(**changes)


class Courses:
    """Answers from a list, newest first."""

    def __init__(self, rows: Iterable[StoredCourse] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[tuple[Filter, int]] = []
        self.threads: list[int | None] = []
        """In which shapes were called."""
        self.failing = False

    async def newest(self, which: Filter, count: int, shape: Callable[[Sequence[StoredCourse]], T]) -> T:
        if self.failing:
            raise StoreError("connection to server at 10.0.0.1 failed")
        self.asked.append((which, count))
        rows = [row for row in self.rows if row.id > which.behind][:count]

        def make() -> T:
            self.threads.append(threading.current_thread().ident)
            return shape(rows)

        return await asyncio.to_thread(make)


def as_past(courses: Courses | None) -> Past | None:
    """This room asks a store for nothing else."""
    return cast(Past | None, courses)
