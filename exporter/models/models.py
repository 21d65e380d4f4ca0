"""All models and what is done with them: the one owner of their state. `app` makes it, `api.nextjs` asks it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from exporter.models.events import Events
from exporter.models.files.places import Places
from exporter.models.library import Library
from exporter.models.loading import Loading
from exporter.models.model import (
    ACTIVE,
    ConflictError,
    Discovered,
    Event,
    FailedError,
    File,
    InvalidError,
    Kind,
    Model,
    Registered,
    Search,
    Status,
    UnknownModelError,
)
from exporter.models.overview import InFlight, Overview, Use
from exporter.models.parts import Parts
from exporter.models.preset.keeper import PresetKeeper
from exporter.models.registration import Entry, read_changes, read_entries
from exporter.models.registry import Registry
from exporter.models.router.states import States
from exporter.models.router.watch import Home, Watch
from exporter.models.runtime import Runtime, RuntimeSettings
from exporter.models.sections import WantedSections
from exporter.models.shelf import Shelf
from exporter.models.turns import Turns, bit_by_bit, unbroken
from exporter.models.upkeep import Upkeep
from exporter.system.snapshot import Snapshot

MOVING = frozenset((Status.LOADING, Status.UNLOADING))


class Models:
    """Registered models, and those that llama-servers have beside them."""

    def __init__(
        self,
        *,
        shelf: Shelf | None,
        runtime: Runtime,
        places: Places,
        preset_file: Path,
        client: httpx.AsyncClient,
        home: Callable[[], Home | None],
        snapshot: Callable[[], Snapshot],
        in_flight: Callable[[], InFlight] = dict,
        last_used: Callable[[str, str], float | None] = lambda upstream, model: None,
        last_words: Callable[[str], str | None] | None = None,
        owner: str = "",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`home` is the llama-server in router mode that loads go to, where there is one; `in_flight` and `last_used`
        are those of `overview.Use`; `last_words` is what the process of a model last
        said of what went wrong. `client` is used for the router alone, and closed by whoever has made it. `owner` is
        the sidecar's name, by which it knows its preset file again."""
        self._runtime = runtime
        self._library = Library(places)
        self._turns = Turns()
        words = last_words or (lambda name: None)
        registry, keeper = Registry(shelf), PresetKeeper(preset_file, owner)
        states = States(clock, wall, self._tell, words)
        wanted = WantedSections(registry, runtime, states, keeper)
        watch = Watch(client, home, states, waits_for_words=last_words is not None)
        use = Use(in_flight, last_used)
        overview = Overview(
            registry,
            states,
            home=lambda: watch.home.name if watch.home is not None else None,
            servers=lambda: snapshot().servers,
            use=use,
            is_outdated=wanted.is_outdated,
            for_all=lambda: runtime.current.options,
            clock=clock,
            wall=wall,
        )
        self._parts = Parts(registry, states, keeper, wanted, watch, overview, Events(), use, wall)
        self._upkeep = Upkeep(self._parts, runtime, self._turns, self._tell)
        self._loading = Loading(self._parts, self._upkeep.retry, self._tell)

    @property
    def work(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs in the background, by name; each for ever."""
        watch = self._parts.watch
        return {
            "models_restore": self._upkeep.run,
            "models_watch": watch.keep_listening,
            "models_look": watch.keep_looking,
        }

    @property
    def is_restored(self) -> bool:
        """Whether it is known what an earlier run has kept."""
        return self._upkeep.restored.is_set()

    async def restored(self) -> None:
        """Wait until that is known."""
        await self._upkeep.restored.wait()

    @property
    def home(self) -> str | None:
        """The upstream that loads go to; None where no llama-server loads models on demand."""
        return self._parts.watch.home.name if self._parts.watch.home is not None else None

    @property
    def problem(self) -> str | None:
        """Why the preset file is not in force; None when all is well."""
        return self._parts.keeper.problem

    def restore_preset(self) -> None:
        """Have the preset file as we have written it: a llama-server is about to be started that reads it. Blocks, and
        may be called from any thread. Raises FailedError where the file is not ours, or cannot be written."""
        self._parts.keeper.restore()

    def all(self) -> list[Model]:
        """As they are now: registered ones in the order of registration, then the others by name."""
        return self._parts.overview.all()

    def get(self, name: str) -> Model:
        """One of them. Raises UnknownModelError."""
        return self._parts.model(name)

    async def discover(self, search: Search) -> Discovered:
        """Look for model files. Raises InvalidError, OutsideError, FailedError, and UnavailableError while another
        search is under way."""
        return await self._library.discover(search, self._runtime.current.models_dir)

    async def register(self, entries: Sequence[Mapping[str, Any]]) -> list[Model]:
        """Register models, all or none: `name`, `path`, `description`, `family`, `version`, `options`. Without a path,
        a llama-server must know the model by itself. Raises InvalidError (fields `models.0.name`), OutsideError,
        ConflictError where one exists, FailedError where the store, or llama-server, does not take them."""
        registry = self._parts.registry
        registry.check_open()
        read = await bit_by_bit(read_entries(entries))
        self._check_new(read)
        files = await self._library.look_into(read)
        return await unbroken(self._register(read, files), name="models_register")

    async def update(self, name: str, changes: Mapping[str, Any]) -> Model:
        """Change what is registered of a model; its name stays, and given options replace all of its own. One that a
        llama-server knows by itself is thereby registered. Raises as `register`, and UnknownModelError."""
        registry = self._parts.registry
        registry.check_open()
        name = self.get(name).name
        entry = read_changes(name, changes)
        (file,) = await self._library.look_into([entry], at="")
        await unbroken(self._update(entry, file), name="models_update")
        return self.get(name)

    async def remove(self, name: str) -> Registered:
        """Take a model out of the registry. Raises UnknownModelError, ConflictError while it is loaded, FailedError,
        UnavailableError."""
        return await unbroken(self._remove(name), name="models_remove")

    async def load(self, name: str, options: Mapping[str, Any]) -> Model:
        """Begin to load a model, with options for this load and later ones; return as soon as that is under way. An
        option that is None is not one of its own any more: it is loaded with that of all models.

        Of one that is loaded with these options, nothing is done; one with other options is unloaded first. The
        options are kept with the model, beside its own ones, unless the load is refused (when it is not known whether
        it is under way, they are); one that only the router knows
        is thereby registered, without a path. Raises UnknownModelError, InvalidError, ConflictError (another one is
        loading, it answers requests of ours and would have to be loaded anew, or it cannot be loaded here, and why),
        FailedError, UnavailableError.
        """
        async with self._turns.soon():
            return await self._loading.load(name, options)

    async def unload(self, name: str, *, force: bool = False) -> Model:
        """Begin to unload a model. Raises UnknownModelError, UnavailableError, ConflictError where it is not loaded,
        or answers requests of ours and it is not to be forced."""
        async with self._turns.soon():
            return await self._loading.unload(name, force=force)

    async def settled(self, name: str, timeout_seconds: float) -> Model:
        """The model as soon as it neither loads nor unloads, or as it is when the time is over."""
        await self._parts.events.until(lambda: self.get(name).status not in MOVING, timeout_seconds)
        return self.get(name)

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Have every event told, in the event loop. Returned is what ends it."""
        return self._parts.events.listen(listener)

    async def _register(self, read: Sequence[Entry], files: Sequence[File | None]) -> list[Model]:
        async with self._turns.soon():
            self._check_new(read)
            before, now = self._parts.registry.models, self._parts.wall()
            new = (entry.filled(None, file, now) for entry, file in zip(read, files, strict=True))
            await self._parts.registry.put(await bit_by_bit(new))
            return await self._put_in_force(before, *(entry.name for entry in read))

    async def _update(self, entry: Entry, file: File | None) -> None:
        async with self._turns.soon():
            self.get(entry.name)
            before = self._parts.registry.models
            await self._parts.registry.put([entry.filled(before.get(entry.name), file, self._parts.wall())])
            await self._put_in_force(before, entry.name)

    async def _remove(self, name: str) -> Registered:
        async with self._turns.soon():
            before = self._parts.registry.models
            self._parts.registry.check_open()
            if name not in before:
                raise UnknownModelError(f"there is no registered model {name!r}")
            model = self.get(name)
            if model.status in ACTIVE and model.upstream == self.home:  # others cannot unload theirs
                raise ConflictError(f"{name} is {model.status}: unload it first")
            await self._parts.registry.delete(name)
            await self._put_in_force(before, name)
        await self._forget_default(name)
        return before[name]

    async def _forget_default(self, name: str) -> None:
        """A model that is gone is loaded by default no more. Not in one's turn: whoever changes parameters at run time
        waits for that."""

        def is_gone(now: RuntimeSettings) -> bool:
            return now.default_model == name and not self._parts.is_there(name)

        with contextlib.suppress(FailedError):  # it is removed all the same; loading it will fail, and say so
            await self._runtime.change({"default_model": None}, is_gone)

    async def _put_in_force(self, before: Mapping[str, Registered], *changed: str) -> list[Model]:
        """Returned is what has become of them, as far as they are there."""
        await self._upkeep.apply(before, changed)
        return [each for each in await bit_by_bit(self._tell(Kind.CHANGED, name) for name in changed) if each]

    def _check_new(self, entries: Sequence[Entry]) -> None:
        """Raises ConflictError, InvalidError. A name that is another name of a model would make the router hang."""
        names = self._parts.overview.names()
        for number, entry in enumerate(entries):
            if entry.name in self._parts.registry:
                raise ConflictError(f"{entry.name} is registered already", {f"models.{number}.name": "exists already"})
            known = names.get(entry.name)
            if known not in (None, entry.name):
                reason = f"is another name of {known}"
                raise ConflictError(f"{entry.name} {reason}", {f"models.{number}.name": reason})
            if known is None and "path" not in entry.said:
                reason = "is needed: no llama-server knows the model by itself"
                raise InvalidError(f"the path {reason}", {f"models.{number}.path": reason})

    def _tell(self, kind: Kind, name: str) -> Model | None:
        """Returned is the model as it was told of."""
        model = self._parts.overview.get(name)
        self._parts.events.tell(Event(kind, model.name if model is not None else name, model))
        if kind in (Kind.UNLOADED, Kind.FAILED):
            self._upkeep.note_end(name)
        return model
