"""Tells everyone who listens what happens to models, and wakes whoever waits for it. `models` owns it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from exporter.models.model import Event, Kind

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]


class Events:
    """Listeners and waiters."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._next = asyncio.Event()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have every event told; what is returned ends that."""
        self._listeners.append(listener)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return end

    def tell(self, event: Event) -> None:
        """A listener that fails harms nobody."""
        self._next.set()
        self._next = asyncio.Event()
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed", extra={"model": event.name, "event": event.kind.value})

    async def until(self, holds: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait for something that only an event can bring about; whether it has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while not holds():
                    await self._next.wait()
        return holds()


def log_event(event: Event) -> None:
    """Tell the log what has become of a model."""
    model = event.model
    match event.kind:
        case Kind.LOADED:
            log.info("model is loaded", extra={"model": event.name, "seconds": model and model.load_seconds})
        case Kind.FAILED:
            log.warning("model failed", extra={"model": event.name, "reason": model and model.error})
        case Kind.UNLOADED:
            log.info("model is unloaded", extra={"model": event.name})
