"""Loading and unloading by way of the home router. `models` calls it, and holds its lock meanwhile.

What is asked of the router begins here, and no more: how it goes on, `states` hears. So nothing waits for a load.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from exporter.models.model import (
    ACTIVE,
    LOADED,
    ConflictError,
    FailedError,
    Kind,
    Model,
    ModelsError,
    Registered,
    Status,
    UnavailableError,
    UnknownModelError,
    Value,
)
from exporter.models.parameters import parameters
from exporter.models.parts import Parts, WaitingError
from exporter.models.router.router import Router
from exporter.models.router.state import State
from exporter.models.router.watch import SURE_SECONDS

UNLOAD_SECONDS = 15.0
"""A process ends within its `stop-timeout`, 10 s."""
NO_ROUTER = (
    "no llama-server here loads models on demand: start one in router mode (without a model), or have the sidecar run "
    "one (--manage-llama-server PATH)"
)

NOBODY = "no llama-server answers now, so it is not known whether one loads models on demand"


class BusyError(ConflictError):
    """It answers requests of ours, which would be cut."""


class Loading:
    """What can be asked of the home router."""

    def __init__(self, parts: Parts, retry: Callable[[], None], tell: Callable[[Kind, str], object]) -> None:
        """`retry` has the preset file put in force later, `tell` has a change of a model told."""
        self._parts = parts
        self._retry = retry
        self._tell = tell

    async def load(self, name: str, options: Mapping[str, Any]) -> Model:
        """See `Models.load`."""
        parts, (wanted, unset) = self._parts, parameters.check_changes(options)
        parts.check_open()
        if _is_elsewhere(parts.model(name), parts.watch.turn(), parts.watch.home):
            return _already(parts.model(name), wanted, unset)
        router = await self._router()
        model = parts.model(name)
        await self._check_others(model)
        before = parts.registry.models
        old, new = before.get(model.name), self._with(model.name, wanted, unset)
        if self._is_loaded_so(model.name, old, new):
            await self._keep(old, new)
            return parts.model(model.name)
        self._check_change(model.name, new)
        await self._keep(old, new)
        try:
            self._check_change(model.name, new)
            await self._end(router, model)
            await self._apply()
            self._check_known(model.name)
            await self._begin(router, model.name)
        except UnavailableError:
            self._retry()
            raise  # perhaps it is under way, and so it may be with these options
        except ModelsError:
            await self._undo(before, model.name)
            raise
        return parts.model(model.name)

    async def unload(self, name: str, *, force: bool = False) -> Model:
        """See `Models.unload`."""
        parts = self._parts
        model, router = parts.model(name), parts.watch.turn()
        if _is_elsewhere(model, router, parts.watch.home):
            raise ConflictError(f"{name} is the only model of {model.upstream}, which cannot unload it")
        if model.status is Status.UNLOADING:
            return model
        if router is None or model.status not in ACTIVE:
            raise ConflictError(f"{name} is not loaded")
        router = await parts.watch.confirm(SURE_SECONDS)
        model = parts.model(name)
        if model.status not in ACTIVE:
            raise ConflictError(f"{name} is not loaded any more")
        if not force:
            self._check_use(model.name)
        await self._dismiss(router, model)
        return parts.model(name)

    async def _router(self) -> Router:
        """The home router, and its states as of this moment."""
        watch = self._parts.watch
        if watch.turn() is None:
            if not self._parts.overview.someone_answers:
                raise UnavailableError(NOBODY)
            raise ConflictError(NO_ROUTER)
        return await watch.confirm()

    async def _check_others(self, model: Model) -> None:
        parts = self._parts
        if model.status is Status.UNLOADING:
            await self._until_ended(model.name)
        loading = parts.states.loading()
        if loading is not None and loading.name != model.name:
            raise ConflictError(f"another model is loading: {loading.name}")

    def _with(self, name: str, options: Mapping[str, Value], unset: Collection[str]) -> Registered | None:
        """The model with these options of its own, beside those that it has, and without those that are not to be set.
        One that only the router knows is thereby registered; without options it stays as it is."""
        old, now = self._parts.registry.models.get(name), self._parts.wall()
        if old is None and options and name in self._parts.keeper.in_force:
            raise ConflictError(f"{name} is not registered any more: register it, with its path, to give it options")
        had = old.options if old is not None else {}
        own = parameters.effective({each: value for each, value in had.items() if each not in unset}, options)
        if own == had:
            return old
        return replace(old or Registered(name, created_at=now), options=own, updated_at=now)

    def _is_loaded_so(self, name: str, old: Registered | None, new: Registered | None) -> bool:
        """Whether it is loaded, or being loaded, in the very way in which it would be."""
        state, wanted = self._parts.states.get(name), self._parts.wanted
        if state is None or not state.held or state.status is Status.UNLOADING:
            return False
        fits = new is None or self._parts.keeper.in_force.get(name) == wanted.would_be(new)
        if state.status is Status.LOADING and not fits and new is not old:
            raise ConflictError(f"{name} is loading already, with other options")
        return fits or state.status is Status.LOADING

    def _check_change(self, name: str, new: Registered | None) -> None:
        """Whether it can be loaded as `new` without cutting requests. One without a process may be about to get one, as
        long as it is asked for something."""
        parts, state = self._parts, self._parts.states.get(name)
        is_held = state is not None and state.held
        differs = new is not None and parts.keeper.in_force.get(name) != parts.wanted.would_be(new)
        if (is_held or differs) and parts.wanted.stays(name, parts.requests):
            self._check_use(name)

    def _check_use(self, name: str) -> None:
        if count := self._parts.requests(name):
            raise BusyError(f"{name} is in use: it answers {count} request{'s' if count > 1 else ''} now")

    async def _keep(self, old: Registered | None, new: Registered | None) -> None:
        if new is not None and new is not old:
            await self._parts.registry.put([new])

    async def _undo(self, before: Mapping[str, Registered], name: str) -> None:
        """A load that is refused leaves no options behind: neither in the registry nor in the preset file."""
        registry = self._parts.registry
        if registry.models.get(name) is before.get(name):
            return
        await registry.undo(before, [name])
        self._tell(Kind.CHANGED, name)
        if self._parts.wanted.is_stale(name):
            try:
                await self._parts.apply()
            except ModelsError:
                self._retry()

    async def _apply(self) -> None:
        with contextlib.suppress(WaitingError):  # should it be of this model, that is found out
            await self._parts.apply()

    async def _end(self, router: Router, model: Model) -> None:
        """Unload it, where it is loaded with other options, and wait for that."""
        state = self._parts.states.get(model.name)
        if state is not None and state.held:
            await self._dismiss(router, model)
            await self._until_ended(model.name)

    async def _dismiss(self, router: Router, model: Model) -> None:
        state = self._parts.states.get(model.name) or State(model.name)
        before = state.status
        self._parts.states.asked_to_unload(state)
        try:
            told = await router.unload(state.name)
        except BaseException:
            self._parts.states.stays(state, before)
            raise
        if not told:
            self._parts.watch.ask()

    async def _until_ended(self, name: str) -> None:
        states = self._parts.states

        def has_ended() -> bool:
            state = states.get(name)
            return state is None or not state.held

        if not await self._parts.events.until(has_ended, UNLOAD_SECONDS):
            raise UnavailableError(f"{name} is still being unloaded")

    def _check_known(self, name: str) -> None:
        """Whether the router would load what is wanted."""
        parts, state = self._parts, self._parts.states.get(name)
        entry, section = (state.entry if state is not None else None), parts.wanted.of(name)
        if state is None and section is None:
            raise UnknownModelError(f"there is no model {name!r}")
        if parts.wanted.is_stale(name):
            self._check_use(name)
            if state is not None and state.held:
                raise ConflictError(f"{name} was loaded meanwhile, with the options before these")
            raise FailedError(parts.keeper.problem or f"{parts.keeper.path} is not in force")
        if section is not None and parts.keeper.is_unread:
            raise UnavailableError(parts.keeper.problem or "llama-server has not read the preset file yet")
        if entry is None or (section is not None and entry.source not in (None, "preset")):
            raise ConflictError(
                f"llama-server does not read the preset file: start it with --models-preset {parts.keeper.path}"
            )
        if not entry.has_file:
            raise ConflictError(f"llama-server knows no file of {name}")

    async def _begin(self, router: Router, name: str) -> None:
        states, watch = self._parts.states, self._parts.watch
        state = states.asked_to_load(name)
        try:
            told = await router.load(name)
        except Exception:
            states.answered(state, begun=False)
            raise
        except BaseException:
            states.answered(state, begun=True)  # perhaps
            watch.ask()
            raise
        states.answered(state, begun=True)
        if not told or not watch.hears:
            watch.ask()


def _is_elsewhere(model: Model, router: Router | None, home: tuple[str, str, str | None] | None) -> bool:
    """Whether an upstream has it loaded that is not the home."""
    at_home = router is not None and home is not None and model.upstream == home[0]
    return not at_home and model.upstream is not None and model.status in (*LOADED, Status.LOADING)


def _already(model: Model, options: Collection[str], unset: Collection[str]) -> Model:
    own = model.registered.options if model.registered is not None else {}
    if options or own.keys() & set(unset):
        raise ConflictError(
            f"{model.upstream} has {model.name} as its only model, with options that cannot be changed while it runs"
        )
    return model
