"""Loads the default model whenever the llama-server that we run has become ready. `app` runs it in the background."""

from __future__ import annotations

import asyncio
import logging

from exporter.models.model import ConflictError, ModelsError, UnavailableError
from exporter.models.models import Models
from exporter.models.runtime import Runtime

TRIES = 30
PAUSE_SECONDS = 2.0

log = logging.getLogger(__name__)


class DefaultModel:
    """The one that is loaded without being asked for; which that is, is set at run time."""

    def __init__(self, models: Models, runtime: Runtime) -> None:
        self._models = models
        self._runtime = runtime
        self._ready = asyncio.Event()
        """The llama-server has become ready, and nothing has come of it yet."""

    def note_ready(self) -> None:
        """The llama-server answers, after it was started or started again."""
        self._ready.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._ready.wait()
            self._ready.clear()
            await self._models.restored()
            name = self._runtime.current.default_model
            if name is not None:
                await self._load(name)

    async def _load(self, name: str) -> None:
        """If need be, as soon as another one has been loaded."""
        for rest in reversed(range(TRIES)):
            try:
                await self._models.load(name, {})
                return
            except ModelsError as error:
                if not rest or not isinstance(error, (ConflictError, UnavailableError)):
                    log.warning("the default model cannot be loaded", extra={"model": name, "reason": str(error)})
                    return
            await asyncio.sleep(PAUSE_SECONDS)
