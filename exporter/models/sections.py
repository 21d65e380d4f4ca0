"""Which sections the preset file is to have now, and which loaded models run with another one. `loading` and `models`
ask it."""

from __future__ import annotations

import asyncio
import logging

from exporter.models import parameters, preset
from exporter.models.model import ModelsError, Options, Registered
from exporter.models.preset import Section
from exporter.models.preset_keeper import PresetKeeper, Sections
from exporter.models.registry import Registry
from exporter.models.runtime import Runtime
from exporter.models.states import States

SLICE = 50
"""Sections made in one go."""
log = logging.getLogger(__name__)


class WantedSections:
    """What the registry and the parameters of all models amount to."""

    def __init__(self, registry: Registry, runtime: Runtime, states: States, keeper: PresetKeeper) -> None:
        self._registry = registry
        self._runtime = runtime
        self._states = states
        self._keeper = keeper
        self._made: dict[str, tuple[Registered, Options, Section]] = {}

    async def prepare(self) -> None:
        """Make what has changed, without keeping streams waiting."""
        for number, registered in enumerate(list(self._registry.models.values())):
            self.would_be(registered)
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)

    def all(self) -> Sections:
        """Every section that the file is to have. That of a model with a process stays as it is in force."""
        self._made = {name: made for name, made in self._made.items() if name in self._registry}
        found = ((name, self._now(name)) for name in self._registry.models)
        return {name: section for name, section in found if section is not None}

    def of(self, name: str) -> Section | None:
        """What the model's next load uses; None where the file says nothing of it."""
        registered = self._registry.models.get(name)
        return self.would_be(registered) if registered is not None else None

    def would_be(self, registered: Registered) -> Section | None:
        """The same, were it registered so."""
        if registered.path is None and not self._has_file(registered.name):
            return None
        return self._make(registered) or None

    def is_outdated(self, name: str) -> bool:
        """Whether its process runs with other options than its next one would."""
        state = self._states.get(name)
        return state is not None and state.held and self.is_stale(name)

    def is_stale(self, name: str) -> bool:
        """Whether other options are in force for it than are wanted."""
        return name in self._registry and self._keeper.in_force.get(name) != self.of(name)

    def lacking(self) -> list[str]:
        """Models that the router would know if it read our file."""
        return [name for name, each in self._registry.models.items() if each.path and self._states.get(name) is None]

    def _now(self, name: str) -> Section | None:
        state = self._states.get(name)
        return self._keeper.in_force.get(name) if state is not None and state.held else self.of(name)

    def _has_file(self, name: str) -> bool:
        """Whether the router knows by itself what to load: a section without a file would load for ever."""
        state = self._states.get(name)
        return state is not None and state.entry is not None and state.entry.has_file

    def _make(self, registered: Registered) -> Section:
        for_all = self._runtime.current.options
        made = self._made.get(registered.name)
        if made is None or made[0] is not registered or made[1] is not for_all:
            made = registered, for_all, make(registered, for_all)
            if self._registry.models.get(registered.name) is registered:
                self._made[registered.name] = made
        return made[2]


def make(registered: Registered, for_all: Options) -> Section:
    """The section of one model, every option that is set spelled out; empty where it cannot be written."""
    try:
        return preset.section(registered.path, parameters.effective(for_all, registered.options))
    except ModelsError as error:
        log.warning("a model is left out of the preset", extra={"model": registered.name, "reason": str(error)})
        return {}
