"""Whether an upstream is well: one state machine for each, told of health checks and of what becomes of requests.

`fleet` owns the machines, `choice` reads their `condition`. Time is an argument, in monotonic seconds; nothing waits.

| state   | condition | means                              | leaves it                                              |
|---------|-----------|------------------------------------|--------------------------------------------------------|
| unknown | UNKNOWN   | not heard of yet                   | good news: ready; bad check: waiting; failure: waiting |
| ready   | READY     | answers                            | bad check: waiting; failure: waiting, next back-off    |
| waiting | DOWN      | back-off, or the check, is pending | back-off over and, with checks, one UP since: due      |
| due     | READY     | one request may try it             | `begin`: trying; bad check: waiting                    |
| trying  | DOWN      | the trial is on its way            | `failed`: waiting, next back-off; `released`: due      |

From waiting, due and trying an answer leads to ready, and so does an UP check in trying: a long prefill must not hold
up recovery. Back-offs are 1, 2, 4, 8, 16, 30, 30, ... s until an answer; bad checks add none.

Requests overlap, so news of one counts only if it was begun after the latest bad news that counted: when an upstream
dies, the many failures of what it was working on are one outage and one step; an answer that it still owed is no sign
of recovery. While it is down, only the trial's failure is news.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, IntEnum, auto
from math import inf
from typing import Final

log = logging.getLogger(__name__)

FIRST_BACK_OFF_SECONDS: Final = 1.0
LONGEST_BACK_OFF_SECONDS: Final = 30.0


class CheckState(Enum):
    """What a health check found."""

    UP = auto()
    LOADING = auto()
    DOWN = auto()


class Condition(IntEnum):
    """Whether to send requests, best first."""

    READY = 0
    UNKNOWN = 1
    DOWN = 2


# For every request, and in Python 3.11 `Condition.READY` takes a function call.
_READY: Final = Condition.READY
_DOWN: Final = Condition.DOWN


class Health:
    """The health of one upstream. `active`: health checks come for it, and must be good before it is tried again.

    Each request is announced by `begin`, and ends with one of `answered`, `failed`, `released`, which are told the
    moment that `begin` was told: it is how a request, and above all the trial, is recognized.

    `on_change` is called after each event that may have changed the condition; what time does, `next_change` tells.
    """

    __slots__ = (
        "_active",
        "_back_off_seconds",
        "_due_at",
        "_lowered_at",
        "_name",
        "_not_before",
        "_on_change",
        "_reported_down",
        "_settled",
        "_trial_since",
        "_vouched",
    )

    def __init__(self, name: str, active: bool, on_change: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._active = active
        self._on_change = on_change
        self._settled = Condition.UNKNOWN if active else Condition.READY
        """The condition while no trial is due."""
        self._due_at = inf
        """From when on a trial is due; infinite while only an event can make it so."""
        self._lowered_at = -inf
        """The latest bad news that counted."""
        self._back_off_seconds = 0.0
        """The latest one; 0 after an answer."""
        self._not_before = -inf
        """When it is over. Never in the future but while it is down, nor while a trial is on its way."""
        self._vouched = not active
        """Whether the latest check since the bad news was good, as far as checks are made."""
        self._trial_since: float | None = None
        self._reported_down = False

    @property
    def checked_actively(self) -> bool:
        """Whether health checks come for it."""
        return self._active

    def condition(self, now: float) -> Condition:
        """Whether to send it the next request."""
        return self._settled if now < self._due_at else _READY

    def next_change(self, now: float) -> float:
        """When the condition changes by itself; infinite when it does not."""
        return self._due_at if now < self._due_at else inf

    def retry_at(self, now: float) -> float | None:
        """The earliest moment at which a trial may be due, after `now`. With checks, one of them must be good as well.

        None: it is not down, or only the next check, or the trial that is on its way, can tell.
        """
        return self._not_before if now < self._not_before else None

    def begin(self, now: float) -> bool:
        """A request is about to be sent to it; True: it is the trial."""
        if now < self._due_at:
            return False
        self._trial_since = now
        self._schedule()
        return True

    def answered(self, since: float) -> None:
        """The head of an answer other than 502, 503 and 504 arrived, for the request that was begun at `since`."""
        if self._settled is _READY and not self._back_off_seconds:
            return  # so it is for nearly all
        if since == self._trial_since or since > self._lowered_at:
            self._back_off_seconds = 0.0
            self._not_before = -inf
            self._raise()

    def failed(self, now: float, since: float) -> None:
        """No connection, no answer, or 502, 503 or 504, for the request that was begun at `since`."""
        if since == self._trial_since or (self._settled is not _DOWN and since > self._lowered_at):
            self._trial_since = None
            self._back_off_seconds = min(
                max(2 * self._back_off_seconds, FIRST_BACK_OFF_SECONDS), LONGEST_BACK_OFF_SECONDS
            )
            self._not_before = now + self._back_off_seconds
            self._lower(now)
            self._report_failure()

    def released(self, since: float) -> None:
        """The request that was begun at `since` ended before it was known whether it would be answered."""
        if since == self._trial_since:
            self._trial_since = None
            self._schedule()

    def checked(self, now: float, state: CheckState) -> None:
        """A health check ended."""
        if state is not CheckState.UP:
            self._lower(now)
        elif self._settled is not _DOWN or self._trial_since is not None:
            self._raise()
        else:
            self._vouched = True
            self._schedule()

    def _lower(self, now: float) -> None:
        self._settled = _DOWN
        self._lowered_at = now
        self._vouched = not self._active
        self._schedule()

    def _raise(self) -> None:
        self._settled = _READY
        self._due_at = inf
        self._trial_since = None
        self._on_change()
        if self._reported_down:
            self._reported_down = False
            log.info("upstream is used again", extra={"upstream": self._name})

    def _schedule(self) -> None:
        self._due_at = self._not_before if self._vouched and self._trial_since is None else inf
        self._on_change()

    def _report_failure(self) -> None:
        """Once an outage, also when it is a trial after bad checks that failed: the checks are logged elsewhere."""
        if not self._reported_down:
            self._reported_down = True
            log.warning("upstream fails requests, it is left out until it recovers", extra={"upstream": self._name})
