"""What is registered, what the home router says, and what was sampled of other upstreams, as one list. `models` asks
for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from exporter.model_name import base_name
from exporter.models.elsewhere import Elsewhere, Sampled, Servers
from exporter.models.model import ACTIVE, LOADED, Model, Options, Registered, Status
from exporter.models.registry import Registry
from exporter.models.router.state import State
from exporter.models.router.states import States
from exporter.system.quantization import quantization

InFlight = Mapping[tuple[str, str], int]
"""Requests by upstream and model."""


class Use(NamedTuple):
    """What the sidecar knows of requests, by upstream and model."""

    in_flight: Callable[[], InFlight]
    """As it is now; counted anew each time, so that it is asked for once for all models."""
    last_used: Callable[[str, str], float | None]
    """When the last request ended, in UTC seconds since the epoch; None when there never was one."""


class Overview:
    """The list, made anew each time it is asked for."""

    def __init__(
        self,
        registry: Registry,
        states: States,
        *,
        home: Callable[[], str | None],
        servers: Callable[[], Servers],
        use: Use,
        is_outdated: Callable[[str], bool],
        options: Callable[[Registered], Options],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`home` is the name of the home upstream, `options` is what a model's next load uses."""
        self._registry = registry
        self._states = states
        self._home = home
        self._elsewhere = Elsewhere(registry, home, servers)
        self._use = use
        self._is_outdated = is_outdated
        self._options = options
        self._clock = clock
        self._wall = wall

    def all(self) -> list[Model]:
        """Registered models in their order, then the others by name."""
        elsewhere, asked = self._elsewhere.now(), self._use.in_flight()
        registered = [
            self._registered(each, elsewhere.claimed.get(name), asked) for name, each in self._registry.models.items()
        ]
        others = {name: self._other(each, None, asked) for name, each in elsewhere.free.items()}
        others |= {
            state.name: self._stated(state, None, asked) for state in self._states if state.name not in self._registry
        }
        return registered + [others[name] for name in sorted(others)]

    def get(self, name: str) -> Model | None:
        """One of them, by its name or another one of it."""
        elsewhere, asked = self._elsewhere.now(), self._use.in_flight()
        state = None if name in self._registry else self._states.find(name)
        if state is not None and state.name not in self._registry:
            return self._stated(state, None, asked)
        found = name if name in self._registry else state.name if state is not None else elsewhere.names.get(name)
        registered = self._registry.models.get(found or "")
        if registered is not None:
            return self._registered(registered, elsewhere.claimed.get(registered.name), asked)
        return self._other(elsewhere.free[found], None, asked) if found is not None else None

    def names(self) -> dict[str, str]:
        """The name in the list by every name that a model has anywhere."""
        names = dict(self._elsewhere.now().names)
        names |= {other: state.name for state in self._states for other in state.aliases}
        return (
            names | {state.name: state.name for state in self._states} | {name: name for name in self._registry.models}
        )

    @property
    def someone_answers(self) -> bool:
        """Whether any llama-server is up, as far as anybody has looked."""
        return self._elsewhere.someone_answers

    def others(self) -> dict[str, Status]:
        """Every model of other upstreams, by the name that it has in the list."""
        elsewhere = self._elsewhere.now()
        return {name: each.status for name, each in (*elsewhere.free.items(), *elsewhere.claimed.items())}

    def _registered(self, registered: Registered, sampled: Sampled | None, asked: InFlight) -> Model:
        state = self._states.get(registered.name)
        if sampled is not None and (state is None or (not state.held and sampled.status in ACTIVE)):
            return self._other(sampled, registered, asked)
        return self._stated(state or State(registered.name), registered, asked)

    def _stated(self, state: State, registered: Registered | None, asked: InFlight) -> Model:
        """Of the home router, or of none."""
        listed = state.info or (state.entry.listed if state.entry is not None else None)
        path = (registered.path if registered else None) or (listed.path if listed else None)
        file_name = base_name(path) if path else None
        home = self._home() if state.entry is not None or state.held or path else None
        running = listed if state.status in LOADED else None
        known = registered.quantization if registered else None
        return Model(
            name=state.name,
            status=state.status,
            registered=registered,
            upstream=home,
            file_name=file_name,
            size_bytes=(registered.size_bytes if registered else None) or (running.size_bytes if running else None),
            quantization=known or quantization(state.name, file_name, listed.file_type if listed else None),
            context_size=(running.context_size if running else None) or self._context_size(registered),
            loaded_at=state.loaded_at,
            last_used_at=self._last_used(asked, home, state.name, *state.aliases),
            memory_bytes=running.size_bytes if running else None,
            progress=state.progress,
            stage=state.stage,
            load_seconds=state.load_seconds,
            remaining_seconds=self._remaining(state),
            error=state.error,
            outdated=self._is_outdated(state.name),
        )

    def _other(self, sampled: Sampled, registered: Registered | None, asked: InFlight) -> Model:
        """Of another upstream."""
        model, held = sampled.model, sampled.status in LOADED
        return Model(
            name=registered.name if registered else sampled.name,
            status=sampled.status,
            registered=registered,
            upstream=sampled.upstream,
            file_name=model.file_name or (base_name(registered.path) if registered and registered.path else None),
            size_bytes=(registered.size_bytes if registered else None) or model.size_bytes,
            quantization=(registered.quantization if registered else None) or model.quantization,
            context_size=(model.context_size if held else None) or self._context_size(registered),
            last_used_at=self._last_used(asked, sampled.upstream, *sampled.names),
            memory_bytes=model.size_bytes if held else None,
        )

    def _context_size(self, registered: Registered | None) -> int | None:
        """Of a slot, by its options; else what it was trained with."""
        if registered is None:
            return None
        options = self._options(registered)
        total, slots = options.get("n_ctx"), options.get("parallel")
        if isinstance(total, int) and total > 0:
            return total // slots if isinstance(slots, int) and slots > 1 else total
        return registered.training_context_size

    def _last_used(self, asked: InFlight, upstream: str | None, *names: str) -> float | None:
        if upstream is None:
            return None
        if any((upstream, name) in asked for name in names):
            return self._wall()
        return max((at for name in names if (at := self._use.last_used(upstream, name)) is not None), default=None)

    def _remaining(self, state: State) -> float | None:
        if state.loading_since is None or state.load_seconds is None:
            return None
        return max(0.0, state.load_seconds - (self._clock() - state.loading_since))
