"""What is registered, what the home router says, and what was sampled of other upstreams, as one list. `models` asks.

A registered model is found on an upstream by its name, by another name of it there, or by the name of its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from exporter.model_name import base_name
from exporter.models.model import LOADED, Model, Options, Registered, Status
from exporter.models.registry import Registry
from exporter.models.state import WORDS, State
from exporter.models.states import States
from exporter.system.quantization import quantization
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ServerState

ACTIVE = LOADED | {Status.LOADING}


class Use(NamedTuple):
    """What the sidecar knows of requests, by upstream and model."""

    in_flight: Callable[[str, str], int]
    last_used: Callable[[str, str], float | None]
    """UTC seconds since the epoch."""


class Sampled(NamedTuple):
    """A model of an upstream that is not the home."""

    upstream: str
    model: ModelSnapshot
    status: Status

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return self.model.routed_name or self.model.id

    @property
    def names(self) -> tuple[str, ...]:
        """The same, and what else it is called."""
        return self.name, self.model.id, *self.model.aliases


class Joined:
    """The list, made anew each time it is asked for."""

    def __init__(
        self,
        registry: Registry,
        states: States,
        *,
        home: Callable[[], str | None],
        servers: Callable[[], Mapping[str, LlamaServerSnapshot]],
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
        self._servers = servers
        self._use = use
        self._is_outdated = is_outdated
        self._options = options
        self._clock = clock
        self._wall = wall
        self._by_file: tuple[Mapping[str, Registered], dict[str, str]] = ({}, {})

    def all(self) -> list[Model]:
        """Registered models in their order, then the others by name."""
        claimed, free = self._sampled()
        registered = [self._registered(each, claimed.get(name)) for name, each in self._registry.models.items()]
        others = {each.name: self._other(each) for each in reversed(free)}
        others |= {state.name: self._stated(state, None) for state in self._states if state.name not in self._registry}
        return registered + [others[name] for name in sorted(others)]

    def get(self, name: str) -> Model | None:
        """One of them, by its name or another one of it."""
        claimed, free = self._sampled()
        if (registered := self._registry.models.get(name)) is not None:
            return self._registered(registered, claimed.get(name))
        state = self._states.find(name)
        if state is not None:
            again = self._registry.models.get(state.name)
            return self._stated(state, None) if again is None else self._registered(again, claimed.get(state.name))
        owner = next((owner for owner, each in claimed.items() if name in each.names), None)
        if owner is not None:
            return self._registered(self._registry.models[owner], claimed[owner])
        found = next((each for each in free if name in each.names), None)
        return self._other(found) if found is not None else None

    def names(self) -> dict[str, str]:
        """The name in the list by every name that a model has anywhere."""
        claimed, free = self._sampled()
        names = {other: name for name, each in claimed.items() for other in each.names}
        names |= {other: each.name for each in free for other in each.names}
        names |= {other: state.name for state in self._states for other in state.aliases}
        return (
            names | {state.name: state.name for state in self._states} | {name: name for name in self._registry.models}
        )

    @property
    def someone_answers(self) -> bool:
        """Whether any llama-server is up, as far as anybody has looked."""
        servers = self._servers()
        return not servers or any(each.up for each in servers.values())

    def others(self) -> dict[str, Status]:
        """Every model of other upstreams, by the name that it has in the list."""
        claimed, free = self._sampled()
        states = {each.name: each.status for each in reversed(free)}
        return states | {name: each.status for name, each in claimed.items()}

    def _sampled(self) -> tuple[dict[str, Sampled], list[Sampled]]:
        """Models of other upstreams: those that are registered, by the name of that; and the rest."""
        claimed, free = dict[str, Sampled](), list[Sampled]()
        for each in self._look_elsewhere():
            owner = self._owner(each)
            if owner is None:
                free.append(each)
            elif owner not in claimed or (each.status in ACTIVE and claimed[owner].status not in ACTIVE):
                claimed[owner] = each
        return claimed, free

    def _look_elsewhere(self) -> Iterator[Sampled]:
        home = self._home()
        for name, server in self._servers().items():
            if name != home:
                for model in server.models:
                    awake = server.up or server.state is ServerState.LOADING
                    yield Sampled(name, model, WORDS[model.state] if awake else Status.STOPPED)

    def _owner(self, sampled: Sampled) -> str | None:
        by_name = next((name for name in sampled.names if name in self._registry), None)
        return by_name or self._files().get(sampled.model.file_name or "")

    def _files(self) -> dict[str, str]:
        """Registered models by the name of their file; the first of those that share one."""
        models = self._registry.models
        if self._by_file[0] is not models:
            paths = [(base_name(each.path), name) for name, each in models.items() if each.path]
            self._by_file = models, dict(reversed(paths))
        return self._by_file[1]

    def _registered(self, registered: Registered, sampled: Sampled | None) -> Model:
        state = self._states.get(registered.name)
        if sampled is not None and (state is None or (not state.held and sampled.status in ACTIVE)):
            return self._other(sampled, registered)
        return self._stated(state or State(registered.name), registered)

    def _stated(self, state: State, registered: Registered | None) -> Model:
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
            last_used_at=self._last_used(home, state.name, *state.aliases),
            memory_bytes=running.size_bytes if running else None,
            progress=state.progress,
            stage=state.stage,
            load_seconds=state.load_seconds,
            remaining_seconds=self._remaining(state),
            error=state.error,
            outdated=self._is_outdated(state.name),
        )

    def _other(self, sampled: Sampled, registered: Registered | None = None) -> Model:
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
            last_used_at=self._last_used(sampled.upstream, *sampled.names),
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

    def _last_used(self, upstream: str | None, *names: str) -> float | None:
        if upstream is None:
            return None
        if any(self._use.in_flight(upstream, name) for name in names):
            return self._wall()
        return max((at for name in names if (at := self._use.last_used(upstream, name)) is not None), default=None)

    def _remaining(self, state: State) -> float | None:
        if state.loading_since is None or state.load_seconds is None:
            return None
        return max(0.0, state.load_seconds - (self._clock() - state.loading_since))
