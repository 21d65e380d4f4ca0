"""The live events behind the admin application, on a real server, over models that a test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exporter.api import admin
from exporter.api.nextjs.answers import Refusal
from exporter.api.nextjs.live import PLACES, LiveRoom, make_live
from exporter.api.nextjs.recent import Recent
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.keys import KeyRing
from exporter.live.logbook import Logbook
from exporter.models.model import (
    ConflictError,
    Event,
    Kind,
    Model,
    Options,
    Registered,
    Status,
    UnknownModelError,
)
from exporter.models.models import Models
from exporter.models.registration import read_changes, read_entries
from exporter.models.runtime import Runtime
from exporter.models.server.managed import ManagedServer
from exporter.system.snapshot import Snapshot
from exporter.tasks import Supervisor
from tests.api.synapse.desk import RealClock
from tests.api.views import make_live as make_read_models
from tests.api.views import make_views
from tests.serving import Serving, serving

NOW = 1_795_163_550.0


RUNNING = Model(
    "llama-2-7b-chat",
    Status.RUNNING,
    Registered("llama-2-7b-chat", "/srv/llama-2-7b-chat.gguf", family="llama", created_at=NOW, updated_at=NOW),
    size_bytes=4_000_000_000,
    quantization="Q4_K_M",
    last_used_at=NOW,
    memory_bytes=4096 << 20,
    load_seconds=45.0,
)
STOPPED = Model(
    "mistral-7b",
    Status.STOPPED,
    Registered("mistral-7b", "/srv/mistral-7b.gguf", options={"temperature": 0.5, "n_ctx": 4096}, created_at=NOW),
)
BESIDE = Model("beside", Status.IDLE)
MODELS = (RUNNING, STOPPED, BESIDE)


class MovedModels(Models):
    """What the facade promises, without a router behind it."""

    def __init__(self, *models: Model) -> None:
        self.found = {each.name: each for each in models}
        self.looks = 0
        self.orders: list[tuple[Any, ...]] = []
        self.gate: asyncio.Event | None = None
        """Loads wait for it."""
        self._listeners: list[Callable[[Event], None]] = []

    def all(self) -> list[Model]:
        self.looks += 1
        return list(self.found.values())

    def get(self, name: str) -> Model:
        if name not in self.found:
            raise UnknownModelError(f"there is no model {name!r}")
        return self.found[name]

    async def register(self, entries: Sequence[Mapping[str, Any]]) -> list[Model]:
        made = []
        for entry in read_entries(entries):
            name = entry.name
            if name in self.found and self.found[name].registered is not None:
                raise ConflictError(f"there is a model {name!r} already")
            registered = Registered(name, **entry.said, created_at=NOW, updated_at=NOW)
            made.append(self.move(Kind.CHANGED, Model(name, Status.STOPPED, registered)))
        self.orders.append(("register", [dict(each) for each in entries]))
        return made

    async def update(self, name: str, changes: Mapping[str, Any]) -> Model:
        found = self.get(name)
        said = read_changes(name, changes).said
        self.orders.append(("update", name, dict(changes)))
        registered = replace(found.registered or Registered(name, created_at=NOW, updated_at=NOW), **said)
        return self.move(Kind.CHANGED, replace(found, registered=registered))

    async def remove(self, name: str) -> Registered:
        found = self.get(name)
        if found.registered is None:
            raise UnknownModelError(f"{name!r} is not registered")
        self.orders.append(("remove", name))
        del self.found[name]
        self.tell(Event(Kind.CHANGED, name, None))
        return found.registered

    async def load(self, name: str, options: Options) -> Model:
        found = self.get(name)
        if any(each.status is Status.LOADING for each in self.found.values()):
            raise ConflictError("another model is loading")
        self.orders.append(("load", name, dict(options)))
        if self.gate is not None:
            await self.gate.wait()
        return self.move(Kind.LOADING, replace(found, status=Status.LOADING, progress=0.0))

    async def unload(self, name: str, *, force: bool = False) -> Model:
        found = self.get(name)
        self.orders.append(("unload", name))
        return self.move(Kind.UNLOADED, replace(found, status=Status.STOPPED))

    def listen(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def move(self, kind: Kind, model: Model) -> Model:
        """A model is like that now."""
        self.found[model.name] = model
        self.tell(Event(kind, model.name, model))
        return model

    def tell(self, event: Event) -> None:
        for listener in list(self._listeners):
            listener(event)


@dataclass
class Stage:
    """What is shown, and who may see it."""

    models: MovedModels = field(default_factory=lambda: MovedModels(*MODELS))
    runtime: Runtime = field(default_factory=lambda: Runtime(None))
    logbook: Logbook = field(default_factory=Logbook)
    recent: Recent = field(default_factory=Recent)
    server: ManagedServer | None = None
    snapshot: Snapshot = field(default_factory=Snapshot)
    max_readers: int = 2000
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        clock = RealClock()
        self.views: Views = make_views(make_read_models(clock), clock, snapshot=lambda: self.snapshot)
        self.live: LiveRoom = make_live(
            self.views,
            models=self.models,
            runtime=self.runtime,
            server=lambda: self.server,
            logbook=self.logbook,
            recent=self.recent,
            max_readers=self.max_readers,
        )
        room = Room(name="live", about="", places=PLACES, sockets=self.live.sockets, refuse=Refusal)
        self.app = admin.application([room], KeyRing(self.keys), self.origins)
        self.supervisor = Supervisor()

    @contextlib.asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Serving]:
        """As the sidecar runs it; nothing of it may fail."""
        for name, work in self.live.work.items():
            self.supervisor.start(name, work)
        try:
            async with serving(self.app, on_stop=self.live.close, **options) as running:
                yield running
            assert not any(self.supervisor.restarts.values())
        finally:
            await self.supervisor.stop()
