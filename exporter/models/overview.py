"""What is registered, what the home router says, and what was sampled of other upstreams, as one list. `models` asks
for it, often, and of thousands of models most are as they were: those are not made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from exporter.model_name import base_name
from exporter.models.elsewhere import Elsewhere, Sampled, Servers
from exporter.models.model import ACTIVE, LOADED, Model, Options, Registered, Status
from exporter.models.registry import Registry
from exporter.models.router.state import State
from exporter.models.router.states import States
from exporter.system.model_facts import ListedModel
from exporter.system.quantization import quantization

InFlight = Mapping[tuple[str, str], int]
"""Requests by upstream and model."""


class Use(NamedTuple):
    """What the sidecar knows of requests, by upstream and model."""

    in_flight: Callable[[], InFlight]
    """As it is now; counted anew each time, so that it is asked for once for all models."""
    last_used: Callable[[str, str], float | None]
    """When the last request ended, in UTC seconds since the epoch; None when there never was one."""


class Basis(NamedTuple):
    """All that a model of the home router, or of none, is made of: equal ones make equal models."""

    name: str
    registered: Registered | None
    for_all: Options
    """Parameters of all models."""
    upstream: str | None
    status: Status
    path: str | None
    file_type: str | None
    running: ListedModel | None
    """What the router says of it; None while it is not loaded."""
    loaded_at: float | None
    last_used_at: float | None
    progress: float | None
    stage: str | None
    load_seconds: float | None
    remaining_seconds: float | None
    error: str | None
    outdated: bool


Made = dict[str, tuple[Basis, Model]]
"""Registered models as they were made last, by name."""


class _Now(NamedTuple):
    """What is the same for all models."""

    home: str | None
    asked: InFlight
    for_all: Options
    made: Made


class Overview:
    """The list, as it is at the moment when it is asked for."""

    def __init__(
        self,
        registry: Registry,
        states: States,
        *,
        home: Callable[[], str | None],
        servers: Callable[[], Servers],
        use: Use,
        is_outdated: Callable[[str], bool],
        for_all: Callable[[], Options],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`home` is the name of the home upstream, `for_all` are the parameters of all models."""
        self._registry = registry
        self._states = states
        self._home = home
        self._elsewhere = Elsewhere(registry, home, servers)
        self._use = use
        self._is_outdated = is_outdated
        self._for_all = for_all
        self._clock = clock
        self._wall = wall
        self._made: tuple[Mapping[str, Registered], Made] = ({}, {})
        """With what was registered then: of what is so no more nothing is kept."""

    def all(self) -> list[Model]:
        """Registered models in their order, then the others by name."""
        elsewhere, now = self._elsewhere.now(), self._now()
        registered = [
            self._registered(each, elsewhere.claimed.get(name), now) for name, each in self._registry.models.items()
        ]
        others = {name: self._other(each, None, now) for name, each in elsewhere.free.items()}
        others |= {state.name: self._stated(state, now) for state in self._states if state.name not in self._registry}
        return registered + [others[name] for name in sorted(others)]

    def get(self, name: str) -> Model | None:
        """One of them, by its name or another one of it."""
        elsewhere, now = self._elsewhere.now(), self._now()
        state = None if name in self._registry else self._states.find(name)
        if state is not None and state.name not in self._registry:
            return self._stated(state, now)
        found = name if name in self._registry else state.name if state is not None else elsewhere.names.get(name)
        registered = self._registry.models.get(found or "")
        if registered is not None:
            return self._registered(registered, elsewhere.claimed.get(registered.name), now)
        return self._other(elsewhere.free[found], None, now) if found is not None else None

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

    def _now(self) -> _Now:
        models = self._registry.models
        if self._made[0] is not models:
            self._made = models, {name: made for name, made in self._made[1].items() if name in models}
        return _Now(self._home(), self._use.in_flight(), self._for_all(), self._made[1])

    def _registered(self, registered: Registered, sampled: Sampled | None, now: _Now) -> Model:
        state = self._states.get(registered.name)
        if sampled is not None and (state is None or (not state.held and sampled.status in ACTIVE)):
            return self._other(sampled, registered, now)
        basis = self._basis(state or State(registered.name), registered, now)
        kept = now.made.get(registered.name)
        if kept is None or kept[0] != basis:
            kept = now.made[registered.name] = basis, _model(basis)
        return kept[1]

    def _stated(self, state: State, now: _Now) -> Model:
        """One that only the home router knows."""
        return _model(self._basis(state, None, now))

    def _basis(self, state: State, registered: Registered | None, now: _Now) -> Basis:
        """Of the home router, or of none."""
        entry, is_held = state.entry, state.held
        listed = state.info or (entry.listed if entry is not None else None)
        path = (registered.path if registered is not None else None) or (listed.path if listed is not None else None)
        home = now.home if path or entry is not None or is_held else None
        return Basis(  # by position: names take three times as long, and this is done for every model
            state.name,
            registered,
            now.for_all,
            home,
            state.status,
            path,
            listed.file_type if listed is not None else None,
            listed if state.status in LOADED else None,
            state.loaded_at,
            self._last_used(now.asked, home, state.name, state.aliases) if home is not None else None,
            state.progress,
            state.stage,
            state.load_seconds,
            self._remaining(state) if state.loading_since is not None else None,
            state.error,
            is_held and self._is_outdated(state.name),
        )

    def _other(self, sampled: Sampled, registered: Registered | None, now: _Now) -> Model:
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
            context_size=(model.context_size if held else None) or _context_size(registered, now.for_all),
            last_used_at=self._last_used(now.asked, sampled.upstream, sampled.name, sampled.names[1:]),
            memory_bytes=model.size_bytes if held else None,
        )

    def _last_used(self, asked: InFlight, upstream: str, name: str, others: Sequence[str]) -> float | None:
        if asked and any((upstream, each) in asked for each in (name, *others)):
            return self._wall()
        last = self._use.last_used
        if not others:
            return last(upstream, name)
        return max((at for each in (name, *others) if (at := last(upstream, each)) is not None), default=None)

    def _remaining(self, state: State) -> float | None:
        if state.loading_since is None or state.load_seconds is None:
            return None
        return max(0.0, state.load_seconds - (self._clock() - state.loading_since))


def _model(basis: Basis) -> Model:
    """Of nothing else: else what was made before might not be true any more."""
    registered, running = basis.registered, basis.running
    file_name = base_name(basis.path) if basis.path else None
    known = registered.quantization if registered else None
    return Model(
        name=basis.name,
        status=basis.status,
        registered=registered,
        upstream=basis.upstream,
        file_name=file_name,
        size_bytes=(registered.size_bytes if registered else None) or (running.size_bytes if running else None),
        quantization=known or quantization(basis.name, file_name, basis.file_type),
        context_size=(running.context_size if running else None) or _context_size(registered, basis.for_all),
        loaded_at=basis.loaded_at,
        last_used_at=basis.last_used_at,
        memory_bytes=running.size_bytes if running else None,
        progress=basis.progress,
        stage=basis.stage,
        load_seconds=basis.load_seconds,
        remaining_seconds=basis.remaining_seconds,
        error=basis.error,
        outdated=basis.outdated,
    )


def _context_size(registered: Registered | None, for_all: Options) -> int | None:
    """Of a slot, by its options; else what it was trained with."""
    if registered is None:
        return None
    own = registered.options
    total, slots = own.get("n_ctx", for_all.get("n_ctx")), own.get("parallel", for_all.get("parallel"))
    if isinstance(total, int) and total > 0:
        return total // slots if isinstance(slots, int) and slots > 1 else total
    return registered.training_context_size
