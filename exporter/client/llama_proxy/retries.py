"""When a request is sent again, and how long to wait before: `exchange` and `stream` ask it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a request is sent again; `limit=0` is never."""

    limit: int = 4
    """Times after the first."""
    first_seconds: float = 0.25
    """The first pause; each further one is twice as long."""
    longest_seconds: float = 5.0
    """No pause is longer, but one that the sidecar asks for."""
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random
    """From 0 to 1: which part of the second half of a pause is waited, so that clients do not come back together."""

    def pause_seconds(self, number: int) -> float:
        """Before the retry of this number, from 0, when nobody says how long to wait."""
        longest = min(self.longest_seconds, self.first_seconds * 2.0 ** min(number, 32))
        return longest * (0.5 + 0.5 * self.draw())


def retry_seconds(retry_after: str | None, date: str | None) -> float | None:
    """What a `Retry-After` says: seconds, or a time, compared with the answer's own `Date` where it has one."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else None
    until = _time(text)
    if until is None:
        return None
    return max(0.0, (until - (_time(date) or datetime.now(UTC))).total_seconds())


def _time(text: str | None) -> datetime | None:
    try:
        time = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
