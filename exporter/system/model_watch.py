"""When one model's `/slots` and `/metrics` may be asked, and what they said. `single_model` and `router` own these.

**Looking must neither wake a model nor keep it from falling asleep** (`llama-server --sleep-idle-seconds N`). Measured
on build 11434, with N = 4, as a single server and behind a router, asking every 0.4 s:

| endpoint                                          | wakes a sleeping model | puts off its sleep |
|---------------------------------------------------|------------------------|--------------------|
| `/health`, `/props`, `/v1/models`, `/models`      | no                     | no                 |
| `/metrics`                                        | no                     | no                 |
| `/slots`                                          | **yes**                | **yes**            |

Older builds that can sleep (since December 2025) are reported to be kept awake by `/metrics` as well (not measured
here; ggml-org/llama.cpp issue 20227, changed by pull request 27376 of August 2026). Whether a server has been told to
sleep shows in a router's list of models (`status.args`), and nowhere in a single server. So, by model:

- It cannot sleep (its build does not say `is_sleeping`, or the router's arguments ask for no sleep): both, every time.
- It sleeps: `/slots` never; `/metrics` where the build's number says that this is harmless.
- It is awake and may sleep: both are asked as long as there is reason to believe that something changed: it has just
  woken (or we have just started), the look before saw it busy or saw its counters move, or a request of ours came less
  than `SETTLE_SECONDS` before that look, or after it. Then one look finds nothing new, and it is left alone until there
  is a reason again; what was seen stays true meanwhile, except for requests that by-pass us. So sleep is put off by at
  most two sampling intervals and the settling time. Where `/metrics` is harmless it is asked every time, and counters
  that move are a reason to ask `/slots`: then nothing is missed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exporter.system.answers import Endpoints
from exporter.system.exposition import counters, parse_exposition, value_of
from exporter.system.model_facts import parse_slots
from exporter.system.snapshot import MirroredSample, ModelSnapshot, SlotSnapshot

SETTLE_SECONDS = 2.0
"""A request may reach the server a little after the sidecar noted it: a look so soon after it proves nothing."""
HARMLESS_METRICS_BUILD = 11434
"""The build on which asking `/metrics` was measured to leave sleep alone; earlier ones get no benefit of the doubt."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a model may be looked at now."""

    may_sleep: bool
    """It could fall asleep, or nobody knows that it could not."""
    metrics_harmless: bool
    """Asking `/metrics` is known not to disturb sleep."""
    last_activity: float | None
    """Monotonic time of the last request that went to it."""


class ModelWatch:
    """One model of one upstream."""

    def __init__(self, endpoints: Endpoints, model: str | None) -> None:
        self._endpoints = endpoints
        self._model = model
        self._looked_at: float | None = None
        self._changed = False
        self._slots: tuple[SlotSnapshot, ...] = ()
        self._mirrored: tuple[MirroredSample, ...] = ()
        self._processing: int | None = None
        self._deferred: int | None = None

    async def look(self, now: float, terms: Terms) -> None:
        """Ask what may be asked of a model that is awake. Raises NoConnectionError."""
        reason = not terms.may_sleep or self._has_reason(terms.last_activity)
        before = (counters(self._mirrored), self._slots)
        if reason or terms.metrics_harmless:
            await self._ask_metrics()
        if reason or counters(self._mirrored) != before[0] or self._is_busy():
            await self._ask_slots()
            self._looked_at = now
        self._changed = before != (counters(self._mirrored), self._slots)

    async def look_at_sleeper(self, terms: Terms) -> None:
        """A sleeping model has given its context back and does nothing; its counters go on when it wakes."""
        self._looked_at = None
        self._slots = ()
        self._processing = self._deferred = 0
        if terms.metrics_harmless:
            await self._ask_metrics()

    def add_to(self, model: ModelSnapshot) -> ModelSnapshot:
        """`model` with what was seen last."""
        slot_size = next((slot.context_size for slot in self._slots if slot.context_size), None)
        return replace(
            model,
            slots=self._slots,
            total_slots=model.total_slots or len(self._slots) or None,
            context_size=model.context_size or slot_size,
            requests_processing=self._processing,
            requests_deferred=self._deferred,
            mirrored=self._mirrored,
        )

    def _has_reason(self, last_activity: float | None) -> bool:
        if self._looked_at is None or self._changed or self._is_busy():
            return True
        return last_activity is not None and self._looked_at < last_activity + SETTLE_SECONDS

    def _is_busy(self) -> bool:
        return bool(self._processing or self._deferred) or any(slot.processing for slot in self._slots)

    async def _ask_metrics(self) -> None:
        answer = await self._endpoints.feature("/metrics", self._model)
        if answer is None:
            return  # no news: what was seen last stands
        self._mirrored = parse_exposition(answer.body) if answer.status == 200 else ()
        self._processing = value_of(self._mirrored, "requests_processing")
        self._deferred = value_of(self._mirrored, "requests_deferred")
        if answer.status == 200 and not self._mirrored:
            # Another kind of server, perhaps with a long exposition of its own.
            self._endpoints.leave_alone("/metrics", self._model)

    async def _ask_slots(self) -> None:
        answer = await self._endpoints.feature("/slots", self._model)
        if answer is None:
            return
        self._slots = (parse_slots(answer.document()) or ()) if answer.status == 200 else ()
        if self._slots and not self._mirrored:
            self._processing = sum(slot.processing for slot in self._slots)
