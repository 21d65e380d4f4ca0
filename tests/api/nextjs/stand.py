"""The room behind the admin application, over real models whose router does as a test says; and what tests ask."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from exporter.api import admin, nextjs
from exporter.api.nextjs.facts import Facts, Place, SocketFigures
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.api.nextjs.recent import Recent
from exporter.errors import StoreError
from exporter.keys import KeyRing
from exporter.models.models import Models
from exporter.models.router.watch import Home
from exporter.models.runtime import Runtime
from exporter.models.server.managed import ManagedServer
from exporter.system.snapshot import Snapshot
from tests.api.synapse.desk import RealClock
from tests.api.views import Clock, make_live, make_views
from tests.models.fake_router import FakeRouter
from tests.models.house import UPSTREAM, House
from tests.models.real_router import write_models

JSON = {"content-type": "application/json"}
NAMES = ("a", "b")


class BrittleShelf:
    """Keeps documents in memory, as long as it is well."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.failing = False

    async def all(self) -> Mapping[str, dict[str, Any]]:
        return self.documents

    async def put(self, documents: Mapping[str, dict[str, Any]]) -> None:
        if self.failing:
            raise StoreError("the database is away")
        self.documents |= documents

    async def delete(self, name: str) -> None:
        self.documents.pop(name, None)


@dataclass
class Stand:
    """What is around the room. `snapshot`, `server` and `facts` can be changed before it is asked."""

    root: Path
    models: Models
    runtime: Runtime
    shelf: BrittleShelf
    house: House | None = None
    router: FakeRouter | None = None
    clock: Clock = field(default_factory=Clock)
    snapshot: Snapshot = field(default_factory=Snapshot)
    server: ManagedServer | None = None
    sockets: SocketFigures = field(default_factory=SocketFigures)
    per_minute: int = 0
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ("*",)
    views: dict[str, Any] = field(default_factory=dict)

    def open(self) -> Stand:
        """Make the room of it."""
        self.live = make_live(self.clock)
        fields: dict[str, Any] = {"snapshot": lambda: self.snapshot, **self.views}
        self.recent = Recent(self.clock)
        self.limit = RateLimit(self.per_minute, clock=self.clock, wall=self.clock.wall)
        self.room = nextjs.room(
            make_views(self.live, self.clock, **fields),
            models=self.models,
            runtime=self.runtime,
            server=lambda: self.server,
            facts=self.facts,
            limit=self.limit,
            recent=self.recent,
            connected=lambda: self.sockets,
        )
        self.app = admin.application([self.room], KeyRing(self.keys), self.origins)
        return self

    @property
    def facts(self) -> Facts:
        """As configured: two llama-servers, and the folder of the models."""
        places = (Place("Q2", "10.0.0.2", 8082), Place("Q3", "10.0.0.3", 8083))
        return Facts("127.0.0.1", 9464, places, "/opt/llama-server", (str(self.root),), store_connections=lambda: 5)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        address: str = "127.0.0.1",
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> httpx.Response:
        """Over HTTP, without a server."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return await client.request(method, path, headers=headers, **body)

    async def get(self, path: str) -> Any:
        """A document."""
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """A document that a POST is answered with."""
        answer = await self.ask("POST", path, **({} if body is None else {"json": body}))
        assert answer.status_code == status, answer.text
        return answer.json()

    async def register(self, *names: str, **more: Any) -> Any:
        """Register the files NAME.gguf."""
        entries = [{"name": each, "path": f"{each}.gguf", **more} for each in names]
        return await self.post("/api/models", {"models": entries})


@contextlib.asynccontextmanager
async def managing(folder: Path, **fields: Any) -> AsyncIterator[Stand]:
    """One whose models are real, and files; the router is one that loads at once, and can be told not to."""
    root = folder / "models"
    write_models(root, NAMES)
    async with FakeRouter().run() as router:
        house = House(root, folder / "models.ini", Home(UPSTREAM, router.url), in_flight={})
        router.on_reload = lambda: reread(house, router)
        async with house.run() as models:
            shelf = BrittleShelf()
            house.runtime._shelf = shelf
            stand = Stand(root, models, house.runtime, shelf, house, router, **{"clock": RealClock(), **fields})
            yield stand.open()


def reread(house: House, router: FakeRouter) -> None:
    """What a real router does with its preset file."""
    names = re.findall(r"^\[(.+)\]$", house.preset.read_text(), re.MULTILINE)
    for gone in [name for name, status in router.states.items() if status.get("source") and name not in names]:
        del router.states[gone]
    for name in names:
        router.states.setdefault(name, {"value": "unloaded"})["source"] = "preset"
