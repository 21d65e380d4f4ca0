"""One request on one backend: what counts as load while it lasts, and what it says of the upstream's health.

`fleet` begins a use, the traffic path reports to it and ends it.
"""

from __future__ import annotations

from exporter.routing.health import Health


class Traffic:
    """What we have sent to one backend."""

    __slots__ = ("begun", "in_flight", "last_begun_at")

    def __init__(self) -> None:
        self.in_flight = 0
        self.begun = 0
        """Requests, as far back as it is fair to compare them with those of others."""
        self.last_begun_at: float | None = None
        """Monotonic time."""


class Use:
    """One request on one backend, from sending it to the end of its answer."""

    __slots__ = ("_ended", "_health", "_since", "_traffic", "is_trial")

    def __init__(self, traffic: Traffic, health: Health | None, now: float) -> None:
        self._traffic = traffic
        self._health = health
        self._since = now
        self.is_trial = health is not None and health.begin(now)
        """It is the one that is to show whether the upstream is well again, and has not yet."""
        self._ended = False
        traffic.in_flight += 1
        traffic.begun += 1
        traffic.last_begun_at = now

    def answered(self) -> None:
        """The head of an answer is here."""
        self.is_trial = False
        if self._health is not None:
            self._health.answered(self._since)

    def failed(self, now: float) -> None:
        """There was no answer, or one that says that the server cannot."""
        self.is_trial = False
        if self._health is not None:
            self._health.failed(now, self._since)

    def lost(self, now: float) -> None:
        """It ended without a usable answer, which may be the request's own fault: llama-server closes the connection
        on some that are malformed. So health checks shall tell, where there are any; but a trial has failed."""
        if self.is_trial or (self._health is not None and not self._health.checked_actively):
            self.failed(now)

    def timed_out(self, now: float) -> None:
        """It was silent for too long: no reason to leave it out, but none to take it back either."""
        if self.is_trial:
            self.failed(now)

    def end(self) -> None:
        """It is over, however it went. Can be called again."""
        if self._ended:
            return
        self._ended = True
        self._traffic.in_flight -= 1
        if self.is_trial and self._health is not None:
            self._health.released(self._since)
