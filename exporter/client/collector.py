"""Recording for applications that choose a model by themselves: `get_metrics_collector` and what it gives.

Applications call it; the sidecar does not. What is recorded appears in the sidecar beside the traffic that it proxies.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Mapping

from exporter.client.outbox import EXIT_SECONDS, Fate, Outbox
from exporter.client.sidecar import Sidecar
from exporter.client.values import COUNT, FLAG, NUMBER, TEXT, Kind, UnusableValueError, encode

DEFAULT_URL = "http://127.0.0.1:9464"
QUERY = {
    "tier": TEXT,
    "latency_ms": NUMBER,
    "tokens_generated": COUNT,
    "generation_time_ms": NUMBER,
    "is_error": FLAG,
}
ROUTING = {"complexity": TEXT, "tier": TEXT, "score": NUMBER, "decision_time_ms": NUMBER, "is_fallback": FLAG}
AVAILABILITY = {"tier": TEXT, "available": COUNT, "total": COUNT}


class MetricsCollector:
    """Sends what it is told to a sidecar, in a thread of its own.

    Its recording methods return at once and raise nothing, whatever they are given and however the sidecar is: a value
    that cannot be recorded is dropped, counted, and logged once as a warning. At most 10,000 records wait for a sidecar
    that is away; later ones are dropped. A record is sent again when its answer did not come, so one whose answer was
    lost counts twice. Threads may share a collector, and a forked process goes on with it, starting at zero.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, api_key: str | None = None) -> None:
        """`base_url` is that of the sidecar's admin listener; `api_key` one of its `auth.api_keys`."""
        self._name = _name(base_url)
        try:
            self._outbox = Outbox(Sidecar(base_url, api_key))
        except Exception:  # a wrong URL must not end an application, either
            self._outbox = Outbox(Sidecar(DEFAULT_URL, None))
            self._outbox.close(0.0)
            self._outbox.tell("url", "nothing is recorded: the URL must look like %s", DEFAULT_URL)
        _outboxes.append(self._outbox)

    @property
    def sent(self) -> int:
        """Records that the sidecar has taken."""
        return self._outbox.counts[Fate.SENT]

    @property
    def refused(self) -> int:
        """Records that the sidecar has answered with 3xx or 4xx; they are not sent again."""
        return self._outbox.counts[Fate.REFUSED]

    @property
    def dropped(self) -> int:
        """Records that were never sent: unusable values, no room, or given up at the end."""
        return self._outbox.counts[Fate.DROPPED]

    def record_query(
        self,
        tier: str,
        latency_ms: float,
        tokens_generated: int = 0,
        generation_time_ms: float = 0.0,
        is_error: bool = False,
    ) -> None:
        """One answered (or failed) query: how long it took, and how many tokens were generated in which part of it."""
        self._record(
            "query",
            QUERY,
            tier=tier,
            latency_ms=latency_ms,
            tokens_generated=tokens_generated,
            generation_time_ms=generation_time_ms,
            is_error=is_error,
        )

    def record_routing_decision(
        self, complexity: str, tier: str, score: float, decision_time_ms: float, is_fallback: bool = False
    ) -> None:
        """One choice of a tier: complexity (`SIMPLE`, `MODERATE`, `COMPLEX`) and score of the query; its own time."""
        self._record(
            "routing",
            ROUTING,
            complexity=complexity,
            tier=tier,
            score=score,
            decision_time_ms=decision_time_ms,
            is_fallback=is_fallback,
        )

    def update_model_availability(self, tier: str, available: int, total: int) -> None:
        """How many of a tier's models can answer now."""
        self._record("availability", AVAILABILITY, tier=tier, available=available, total=total)

    def flush(self, timeout_seconds: float = EXIT_SECONDS) -> bool:
        """Wait until everything recorded so far has been sent, refused or dropped; False when that took too long."""
        return self._outbox.flush(timeout_seconds)

    def close(self, timeout_seconds: float = EXIT_SECONDS) -> None:
        """Flush, and end the thread; what is still not sent then is dropped, and so is everything recorded later."""
        self._outbox.close(timeout_seconds)
        if self._outbox in _outboxes:
            _outboxes.remove(self._outbox)
        if _collectors.get(self._name) is self:
            _collectors.pop(self._name, None)

    def _record(self, what: str, kinds: Mapping[str, Kind], **values: object) -> None:
        outbox = self._outbox
        try:
            outbox.put((f"/api/metrics/record/{what}", encode(kinds, values)))
        except UnusableValueError as error:
            outbox.drop()
            outbox.tell(f"{what} {error.parameter}", "a %s record is dropped: %s", what, error)
        except Exception as error:  # no thread can be started any more, for one
            outbox.drop()
            outbox.tell("failed", "a record could not be kept: %s", type(error).__name__)


def get_metrics_collector(base_url: str | None = None, *, api_key: str | None = None) -> MetricsCollector:
    """The collector of this process for one sidecar, by default the one on this machine; made when first asked for.

    A key given later replaces the one given first.
    """
    url = base_url or DEFAULT_URL
    name = _name(url)
    collector = _collectors.get(name)
    if collector is None:
        # Two threads may come here together: what the slower one made has no thread and is forgotten.
        collector = _collectors.setdefault(name, MetricsCollector(url, api_key=api_key))
    if api_key is not None:
        collector._outbox.sidecar.api_key = api_key
    return collector


def _name(url: object) -> str:
    """By which a sidecar's collector is found again; what is no text shares one that records nothing."""
    return url.rstrip("/") if isinstance(url, str) else ""


_collectors: dict[str, MetricsCollector] = {}
"""By base URL. No lock guards it, which a fork could leave held: single operations of a dictionary need none."""
_outboxes: list[Outbox] = []
"""All that may have to be closed."""


def _close_all() -> None:
    """At the end of the interpreter."""
    deadline = time.monotonic() + EXIT_SECONDS
    while _outboxes:
        _outboxes.pop().close(max(0.0, deadline - time.monotonic()))


def _begin_in_child() -> None:
    for outbox in _outboxes:
        outbox.begin()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
