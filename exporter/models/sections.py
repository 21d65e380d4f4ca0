"""Which sections the preset file is to have now, and which loaded models run with another one. `parts` and
`loading` ask it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from exporter.models.model import ModelsError, Options, Registered, Status
from exporter.models.parameters import parameters
from exporter.models.preset import preset
from exporter.models.preset.keeper import PresetKeeper, Sections
from exporter.models.preset.preset import Section
from exporter.models.registry import Registry
from exporter.models.router.states import States
from exporter.models.runtime import Runtime
from exporter.models.turns import bit_by_bit

log = logging.getLogger(__name__)


class WantedSections:
    """What the registry and the parameters of all models amount to."""

    def __init__(self, registry: Registry, runtime: Runtime, states: States, keeper: PresetKeeper) -> None:
        self._registry = registry
        self._runtime = runtime
        self._states = states
        self._keeper = keeper
        self._made: dict[str, tuple[Registered, Options, Section]] = {}

    async def prepare(self, for_all: Options | None = None) -> None:
        """Make what has changed, without keeping streams waiting. `for_all`, here and below: other parameters of all
        models than those in force."""
        await bit_by_bit(self.would_be(registered, for_all) for registered in self._registry.models.values())

    def all(self, for_all: Options | None = None) -> Sections:
        """Every section that the file is to have, as soon as nothing stands in the way of any."""
        self._made = {name: made for name, made in self._made.items() if name in self._registry}
        found = ((name, self.of(name, for_all)) for name in self._registry.models)
        return {name: section for name, section in found if section is not None}

    def keep(self, sections: Sections, is_asked: Callable[[str], object]) -> Sections:
        """These, with what is in force of every model that has a process, or is asked for something, registered or not.
        Of one whose process was made by a section that we do not know of, ours is the best guess."""
        in_force, kept = self._keeper.in_force, dict(sections)
        for name in sections.keys() | in_force.keys():
            state = self._states.get(name)
            if state is None or sections.get(name) == in_force.get(name) or not self.stays(name, is_asked):
                continue
            if name in in_force:
                kept[name] = in_force[name]
            elif state.entry is None or state.entry.source != "preset":
                del kept[name]
        return kept

    def stays(self, name: str, is_asked: Callable[[str], object]) -> bool:
        """Whether another section would cut what it does now, or is about to do. Requests to one that cannot be loaded
        fail in any case: they must not keep it from getting better options."""
        state = self._states.get(name)
        return state is not None and (state.held or (state.status is not Status.ERROR and bool(is_asked(name))))

    def of(self, name: str, for_all: Options | None = None) -> Section | None:
        """What the model's next load uses; None where the file says nothing of it."""
        registered = self._registry.models.get(name)
        return self.would_be(registered, for_all) if registered is not None else None

    def would_be(self, registered: Registered, for_all: Options | None = None) -> Section | None:
        """The same, were it registered so."""
        if registered.path is None and not self._has_file(registered.name):
            return None
        return self._make(registered, self._runtime.current.options if for_all is None else for_all) or None

    def is_outdated(self, name: str) -> bool:
        """Whether its process runs with other options than its next one would."""
        state = self._states.get(name)
        return state is not None and state.held and name in self._registry and self.is_stale(name)

    def is_stale(self, name: str) -> bool:
        """Whether other options are in force for it than are wanted; of one that is not registered, any of ours."""
        return self._keeper.in_force.get(name) != self.of(name)

    def lacking(self) -> list[str]:
        """Models that the router would know if it read our file."""
        return [name for name, each in self._registry.models.items() if each.path and self._states.get(name) is None]

    def _has_file(self, name: str) -> bool:
        """Whether the router knows by itself what to load: a section without a file would load for ever."""
        state = self._states.get(name)
        return state is not None and state.entry is not None and state.entry.has_file

    def _make(self, registered: Registered, for_all: Options) -> Section:
        made = self._made.get(registered.name)
        if made is None or made[0] is not registered or made[1] is not for_all:
            made = registered, for_all, make(registered, for_all)
            if self._registry.models.get(registered.name) is registered:
                self._made[registered.name] = made
        return made[2]


def make(registered: Registered, for_all: Options) -> Section:
    """The section of one model, every option that is set spelled out; empty where it cannot be written."""
    options = parameters.effective(for_all, registered.options)
    try:
        if reason := parameters.faults(options):
            log.warning("options of a model are left out", extra={"model": registered.name, "reason": reason})
            options = parameters.known(options)
        return preset.section(registered.path, options)
    except ModelsError as error:
        log.warning("a model is left out of the preset", extra={"model": registered.name, "reason": str(error)})
        return {}
