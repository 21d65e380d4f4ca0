"""`Models` as `app` runs it, for tests: with its background work, a home that can be moved, and a book of events."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from exporter.models.files.places import Places
from exporter.models.model import Event, Kind, Model, Status
from exporter.models.models import Models
from exporter.models.router.watch import Home
from exporter.models.runtime import Runtime
from exporter.models.shelf import Shelf
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState, Snapshot
from exporter.tasks import Supervisor
from tests.models.fake_router import FakeRouter, RefusedFileError
from tests.models.real_router import write_models

PATIENCE_SECONDS = 30.0
UPSTREAM = "engine"


@dataclass
class House:
    """Everything that is around `models`. What is changed here is seen by it at once."""

    root: Path
    """Of model files; the preset file lies beside them."""
    preset: Path
    home: Home | None = None
    shelf: Shelf | None = None
    servers: dict[str, LlamaServerSnapshot] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    """Requests by model."""
    last_used: dict[str, float] = field(default_factory=dict)
    last_words: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def count_in_flight(self) -> dict[tuple[str, str], int]:
        """By upstream and model, each at whatever upstream there is."""
        upstreams = {*self.servers, *([self.home.name] if self.home is not None else ())}
        return {(upstream, model): count for upstream in upstreams for model, count in self.in_flight.items() if count}

    @contextlib.asynccontextmanager
    async def run(self, *, ready: bool = True) -> AsyncIterator[Models]:
        """When it is `ready`, it is known what an earlier run has kept, and what the home has."""
        async with httpx.AsyncClient() as client:
            self.runtime = Runtime(None)
            self.models = Models(
                shelf=self.shelf,
                runtime=self.runtime,
                places=Places([str(self.root)]),
                preset_file=self.preset,
                client=client,
                home=lambda: self.home,
                snapshot=lambda: Snapshot(servers=self.servers),
                in_flight=self.count_in_flight,
                last_used=lambda upstream, model: self.last_used.get(model),
                last_words=self.last_words.get,
            )
            self.models.listen(self.events.append)
            supervisor = Supervisor()
            for name, work in self.models.work.items():
                supervisor.start(name, work)
            try:
                if ready:
                    await self.until(lambda: self.models.is_restored and self.has_router is bool(self.home))
                yield self.models
            finally:
                await supervisor.stop()
            assert set(supervisor.restarts.values()) == {0}

    @property
    def has_router(self) -> bool:
        """Whether the home has been listed, and is not known to be gone."""
        return self.models._parts.watch.is_present

    async def until(self, holds: Callable[[], bool], timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a condition; fails with the events so far."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not holds():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"it did not come: {self.told()}") from None

    async def register(self, *names: str, **fields: Any) -> list[Model]:
        """Register the files NAME.gguf."""
        entries: list[Mapping[str, Any]] = [{"name": name, "path": f"{name}.gguf", **fields} for name in names]
        return await self.models.register(entries)

    async def settle(self, name: str, status: Status) -> Model:
        """Wait until the model is neither loading nor unloading, and is what it should be."""
        model = await self.models.settled(name, PATIENCE_SECONDS)
        assert model.status is status, (model, self.told())
        return model

    def told(self, name: str | None = None) -> list[tuple[Kind, str]]:
        """The events so far, those of loading once for each load; of one model, or of all."""
        told = [(event.kind, event.name) for event in self.events if name in (None, event.name)]
        return [each for number, each in enumerate(told) if number == 0 or each != told[number - 1]]

    def kinds(self, name: str) -> list[Kind]:
        """What has happened to a model, changes in lists left out."""
        return [kind for kind, _ in self.told(name) if kind is not Kind.CHANGED]


def behind(fake: FakeRouter, folder: Path) -> House:
    """One with the model files a and b, and with a fake router that reads the preset file as a real one does."""
    write_models(folder / "models", ("a", "b"))
    house = House(folder / "models", folder / "models.ini", Home(UPSTREAM, fake.url))

    def read() -> None:
        names = re.findall(r"^\[(.+)\]$", house.preset.read_text(), re.MULTILINE)
        for gone in [name for name, status in fake.states.items() if status.get("source") and name not in names]:
            del fake.states[gone]
        for name in names:
            fake.states.setdefault(name, {"value": "unloaded"})["source"] = "preset"

    fake.on_reload = read
    return house


def refuse(fake: FakeRouter, house: House, option: str) -> None:
    """Have the router refuse every preset file that sets this option."""
    read = fake.on_reload

    def read_or_refuse() -> None:
        if f"{option} = " in house.preset.read_text():
            raise RefusedFileError(f"option '{option}' not recognized")
        read()

    fake.on_reload = read_or_refuse


def served(
    server: ServerState = ServerState.READY, model: ModelState = ModelState.LOADED
) -> dict[str, LlamaServerSnapshot]:
    """An upstream that has one model, whose file is `a.gguf`."""
    found = ModelSnapshot("served", model, aliases=("also",), file_name="a.gguf", context_size=512)
    return {"one": LlamaServerSnapshot("one", ("unknown",), server, models=(found,))}
