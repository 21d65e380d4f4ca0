"""`/metrics/active-requests/stream`: what is in flight, told to all readers whenever it changes.

`Updates.run`, one coroutine, looks at the requests in flight while anybody reads; each state is encoded once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from dataclasses import dataclass

from starlette.responses import Response

from exporter.api.broadcast import Broadcast, stream_events
from exporter.api.documents import NO_CACHE
from exporter.api.operation import EVENT_STREAM
from exporter.api.vandamme.documents import MESSAGE, SUGGESTION, ActiveRequest, Disabled, Update
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.snapshot import active_requests
from exporter.api.views import Views
from exporter.asgi import Receive, Scope, Send

HEADERS = {**NO_CACHE, "x-accel-buffering": "no"}
"""The second keeps nginx from collecting events before it passes them on."""
HEARTBEAT = b": heartbeat\n\n"
SETTLE_SECONDS = 0.01
"""From a change to the look at it: what a request asks for, and where it goes, is known a moment after its start."""
REST_SECONDS = 0.02
"""Between two looks, at least: requests that have no row come and go as well, perhaps thousands a second."""


def frame(event: str, document: Update | Disabled) -> bytes:
    """One event. Its JSON has blanks and is all ASCII, as the original sends it."""
    return f"event: {event}\ndata: {json.dumps(document, allow_nan=False)}\n\n".encode("ascii")


def disabled() -> Disabled:
    """What is said when nothing is recorded."""
    return {"disabled": True, "message": MESSAGE, "suggestion": SUGGESTION}


def switched_off() -> Disabled:
    """What is said when there is no stream."""
    return {
        "disabled": True,
        "message": "SSE for active requests is disabled",
        "suggestion": "Set VDM_ACTIVE_REQUESTS_SSE_ENABLED=true to enable",
    }


@dataclass(frozen=True, slots=True)
class _State:
    """What is in flight, and the event that tells it."""

    rows: list[ActiveRequest]
    """Without durations, which change all the time."""
    version: int
    made_at: float
    event: bytes


class Updates:
    """Tells its readers what is in flight: at once, then when it changes, at most once per `interval_seconds`; and
    sends a comment after `heartbeat_seconds` of silence."""

    def __init__(
        self, views: Views, names: Names, *, interval_seconds: float, heartbeat_seconds: float, max_readers: int
    ) -> None:
        self.readers = Broadcast(max_readers)
        self._views = views
        self._names = names
        self._interval = interval_seconds
        self._heartbeat = heartbeat_seconds
        self._newest: _State | None = None
        self._told: list[ActiveRequest] | None = None
        """The rows that all readers know of; None when not all know the same."""
        self._told_at = self._heard_at = self._looked_at = -math.inf
        """When there was an update for all, a piece of any kind for all, and a look at the rows."""

    def first(self) -> bytes:
        """The event for a new reader, who must join in this very turn of the event loop."""
        state = self._newest
        if state is None or state.version != self._views.active.version or _now() - state.made_at >= self._interval:
            state = self._look(anew=True)
        if not len(self.readers):
            self._note_told(state)
        elif state.rows != self._told:
            self._told = None
        return state.event

    async def run(self) -> None:
        """Tell changes, for ever. It sleeps while nobody reads."""
        while True:
            await self.readers.wanted()
            now = _now()
            due_in = max(self._told_at + self._interval, self._looked_at + REST_SECONDS) - now
            silent_in = self._heard_at + self._heartbeat - now
            if due_in <= 0 and (state := self._look()).rows != self._told:
                self._note_told(state)
                await self.readers.publish(state.event)
            elif silent_in <= 0:
                self._heard_at = now
                await self.readers.publish(HEARTBEAT, keep=False)
            elif due_in > 0:
                await asyncio.sleep(min(due_in, silent_in))
            else:
                await self._change(silent_in)

    async def _change(self, limit_seconds: float) -> None:
        """Wait until a request starts or ends. The rest of what happens to those in flight tells nobody: look again."""
        if self._told:
            limit_seconds = min(limit_seconds, self._interval)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await self._views.active.changed(self._views.active.version)
                await asyncio.sleep(SETTLE_SECONDS)

    def _note_told(self, state: _State) -> None:
        self._told = state.rows
        self._told_at = self._heard_at = _now()

    def _look(self, *, anew: bool = False) -> _State:
        """The state now. While nothing but durations has changed, it is that of the newest event, unless that is to be
        made anew."""
        views = self._views
        self._looked_at = _now()
        rows = active_requests(views.active, self._names, views.clock())
        lasting: list[ActiveRequest] = [{**row, "duration_ms": 0} for row in rows]
        if anew or self._newest is None or self._newest.rows != lasting:
            update: Update = {"disabled": False, "active_requests": rows, "timestamp": views.wall()}
            self._newest = _State(lasting, views.active.version, self._looked_at, frame("update", update))
        return self._newest


def _now() -> float:
    return time.monotonic()


class Reading(Response):
    """The response of one reader: what is in flight, from now until it leaves or the sidecar stops."""

    media_type = EVENT_STREAM

    def __init__(self, updates: Updates) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._updates = updates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await stream_events(self._updates.readers, scope, send, self._updates.first())
