"""What can be set while the sidecar runs, over its API: kept in the store, and back after a restart.

`api.nextjs` changes it; whoever it concerns reads `current` when needed, or listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.errors import StoreError
from exporter.models.model import FailedError, InvalidError, Value
from exporter.models.parameters import parameters
from exporter.models.shelf import Shelf
from exporter.models.turns import unbroken
from exporter.system.documents import mapping

log = logging.getLogger(__name__)

NAME = "runtime"
"""Of the document on the shelf."""
IntervalMs = Annotated[int, Field(ge=100, le=3_600_000)]
LogLevel = Literal["error", "warn", "info", "debug", "verbose"]


class RuntimeSettings(BaseModel):
    """All of it. None: as the settings of the sidecar say."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metrics_interval_ms: IntervalMs = 10_000
    """Between two updates of metrics over Socket.IO."""
    models_interval_ms: IntervalMs = 30_000
    logs_interval_ms: IntervalMs = 15_000
    load_wait_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 30_000
    """How long the answer to a start waits for the model to be loaded."""
    models_dir: str | None = None
    """Where models are looked for when a search does not say; within the configured folders."""
    default_model: str | None = None
    """Loaded as soon as the managed llama-server is ready."""
    max_loaded: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Models that the managed llama-server keeps loaded at once, from its next start on."""
    log_level: LogLevel | None = None
    auto_update: bool = False
    """A preference of the front end, kept for it."""
    notifications: bool = True
    """The same."""
    options: dict[str, Value] = Field(default_factory=dict)
    """Parameters of all models that do not have their own; see `parameters`."""


Trial = Callable[[RuntimeSettings], AbstractAsyncContextManager[None]]


class Runtime:
    """What is in force, and who wants to hear of changes."""

    def __init__(self, shelf: Shelf | None) -> None:
        """Without a shelf nothing outlives the process."""
        self.current = RuntimeSettings()
        self.trial: Trial = lambda new: contextlib.nullcontext()
        """Lasts while other settings are being put in force; what it raises before that keeps them from it."""
        self._shelf = shelf
        self._listeners: list[Callable[[RuntimeSettings, RuntimeSettings], None]] = []
        self._turns = asyncio.Lock()

    @property
    def is_kept(self) -> bool:
        """Whether it is back after a restart."""
        return self._shelf is not None

    def listen(self, listener: Callable[[RuntimeSettings, RuntimeSettings], None]) -> None:
        """Have changes told: what was in force, and what is now."""
        self._listeners.append(listener)

    async def restore(self) -> None:
        """Take up what an earlier run has kept; what has become invalid meanwhile is left at its default. Raises
        StoreError."""
        if self._shelf is None:
            return
        kept = (await self._shelf.all()).get(NAME)
        if kept is not None:
            self._replace(_read_leniently(kept))

    async def change(
        self, fields: Mapping[str, Any], when: Callable[[RuntimeSettings], bool] = lambda now: True
    ) -> None:
        """Replace some fields, all of them or none; nothing where it is not so, `when` asked, at its turn. Raises
        InvalidError with what is wrong with each, FailedError when they cannot be kept or llama-server does not take
        them, UnavailableError."""
        await unbroken(self._change(fields, when), name="runtime_change")

    async def reset(self) -> None:
        """Back to how it was before anything was set. Raises FailedError, UnavailableError."""
        await self.change(RuntimeSettings().model_dump())

    async def _change(self, fields: Mapping[str, Any], when: Callable[[RuntimeSettings], bool]) -> None:
        async with self._turns:
            if not when(self.current):
                return
            try:
                new = RuntimeSettings.model_validate({**self.current.model_dump(), **fields})
            except ValidationError as error:
                raise InvalidError("the settings are not valid", _reasons(error)) from None
            if new != self.current:
                async with self.trial(new):
                    await self._keep(new)
                    self._replace(new)

    async def _keep(self, new: RuntimeSettings) -> None:
        if self._shelf is None:
            return
        try:
            await self._shelf.put({NAME: new.model_dump(exclude_defaults=True)})
        except StoreError as error:
            raise FailedError(f"the settings could not be saved: {error}") from None

    def _replace(self, new: RuntimeSettings) -> None:
        old, self.current = self.current, new
        if old != new:
            for listener in self._listeners:
                listener(old, new)


def _read_leniently(kept: Mapping[str, Any]) -> RuntimeSettings:
    """Another version may have written it."""
    known = {name: value for name, value in kept.items() if name in RuntimeSettings.model_fields}
    if "options" in known:
        options = mapping(known["options"])
        known["options"] = parameters.known(options)
        if len(known["options"]) < len(options):
            log.warning("parameters of all models are left out", extra={"reason": parameters.faults(options)})
    try:
        return RuntimeSettings.model_validate(known)
    except ValidationError as error:
        bad = {each["loc"][0] for each in error.errors()}
        return RuntimeSettings.model_validate({name: value for name, value in known.items() if name not in bad})


def _reasons(error: ValidationError) -> dict[str, str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return {".".join(map(str, each["loc"])): each["msg"] for each in found}
