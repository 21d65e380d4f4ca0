"""The models that people manage through the admin listener, with all that belongs to them: what is set at run time, the
llama-server that we run, the log that is read from afar, and the room of the contract. For `app`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from exporter import logs
from exporter.api import nextjs
from exporter.api.nextjs.facts import Facts, Place
from exporter.api.nextjs.live import PLACES, make_live
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.api.nextjs.recent import Recent
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.backends import view_upstream
from exporter.config import state_directory
from exporter.errors import StartupError
from exporter.live.active import ActiveRequests
from exporter.live.logbook import Logbook
from exporter.models.launch import Launch
from exporter.models.managed import Managed, ManagedServer
from exporter.models.model import Event, Kind, ModelsError
from exporter.models.models import Models
from exporter.models.places import Places
from exporter.models.runtime import LogLevel, Runtime, RuntimeSettings
from exporter.models.watch import Home
from exporter.routing.fleet import Fleet
from exporter.routing.upstream import Upstream
from exporter.settings import Settings, split_address
from exporter.system.snapshot import Snapshot

if TYPE_CHECKING:
    from exporter.store.store import Store

LEVELS: dict[LogLevel, str] = {
    "error": "error",
    "warn": "warning",
    "info": "info",
    "debug": "debug",
    "verbose": "debug",
}
"""Of our log, by what the contract calls them."""
NAMES: Mapping[str, LogLevel] = {level: name for name, level in reversed(LEVELS.items())}

log = logging.getLogger(__name__)


class ManagedModels:
    """All of it, wired."""

    def __init__(
        self,
        settings: Settings,
        upstreams: Sequence[Upstream],
        client: httpx.AsyncClient,
        *,
        store: Store | None,
        latest: Callable[[], Snapshot],
        fleet: Fleet,
        active: ActiveRequests,
        preset_file: Path,
    ) -> None:
        """`client` is used for talking to the router alone."""
        self.settings = settings
        self.upstreams = upstreams
        self.latest = latest
        self.logbook = Logbook()
        self.runtime = Runtime(None if store is None else store.settings)
        self.runtime.listen(self.heed)
        self.places = Places(settings.models.dir)
        self.managed = self.make_managed(preset_file)
        self.models = Models(
            shelf=None if store is None else store.models,
            runtime=self.runtime,
            places=self.places,
            preset_file=preset_file,
            client=client,
            home=self.home,
            snapshot=latest,
            in_flight=partial(count_in_flight, active),
            last_used=partial(last_used, fleet, active, latest),
            last_words=None if self.managed is None else self.managed.last_words,
        )
        url = settings.rate_limit.redis_url
        self.limit = RateLimit(settings.rate_limit.requests_per_minute, None if url is None else url.get_secret_value())
        self.store = store
        self.models.listen(write_event)
        self.ready = asyncio.Event()
        """The managed llama-server has become ready, and nobody has looked yet."""

    def make_managed(self, preset_file: Path) -> Managed | None:
        """The llama-server that we run; None where we run none."""
        settings, home = self.settings.models, self.upstreams[0]
        if settings.llama_server is None:
            return None
        launch = Launch(
            binary=settings.llama_server,
            url=str(home.url),
            preset_file=preset_file,
            models_max=self.models_max,
            arguments=settings.arguments,
            api_key=home.api_key,
        )
        managed = Managed(launch, self.logbook.add)
        managed.on_ready(self.note_ready)
        return managed

    def note_ready(self) -> None:
        """The llama-server that we run answers."""
        self.ready.set()

    def models_max(self) -> int:
        """Models that it is to keep loaded at once."""
        said = self.runtime.current.max_loaded
        return self.settings.models.max_loaded if said is None else said

    def home(self) -> Home | None:
        """The llama-server that loads go to: the one that we run, else the first that is a router."""
        if self.managed is not None:
            return _home(self.upstreams[0])
        servers = self.latest().servers
        routers = (each for each in self.upstreams if each.name in servers and servers[each.name].router)
        return next(map(_home, routers), None)

    def room(self, views: Views) -> Room:
        """The contract's."""
        recent = Recent(views.clock)
        live = make_live(
            views,
            models=self.models,
            runtime=self.runtime,
            server=self.server,
            logbook=self.logbook,
            recent=recent,
            max_readers=self.settings.live.max_readers,
        )
        return nextjs.room(
            views,
            models=self.models,
            runtime=self.runtime,
            server=self.server,
            facts=self.facts(),
            limit=self.limit,
            recent=recent,
            connected=live.figures,
            sockets=live.sockets,
            places=PLACES,
            work=live.work,
            close=live.close,
            readers=live.readers,
        )

    def facts(self) -> Facts:
        """What the contract tells of the configuration."""
        host, port = split_address(self.settings.admin.listen[0])
        return Facts(
            host=host,
            port=port,
            llama_servers=tuple(_place(each) for each in self.upstreams),
            managed_path=self.settings.models.llama_server,
            roots=tuple(map(str, self.places.roots)),
            max_loaded=self.settings.models.max_loaded,
            log_level=NAMES[self.settings.log.level],
            cors_enabled=bool(self.settings.admin.cors_origins),
            store_connections=self.store_connections,
        )

    def store_connections(self) -> int | None:
        """Connections to the database that are open now; None without one."""
        return None if self.store is None else self.store.connections

    def server(self) -> ManagedServer | None:
        """The llama-server that we run, as it is now."""
        return None if self.managed is None else self.managed.server()

    @property
    def work(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs in the background, by name."""
        if self.managed is None:
            return self.models.work
        return {**self.models.work, "llama_server": self.managed.run, "default_model": self.load_default}

    async def load_default(self) -> None:
        """Load the default model whenever the managed llama-server has become ready, for ever."""
        while True:
            await self.ready.wait()
            self.ready.clear()
            name = self.runtime.current.default_model
            if name is None:
                continue
            try:
                await self.models.load(name, {})
            except ModelsError as error:
                log.warning("the default model cannot be loaded", extra={"model": name, "reason": str(error)})

    def heed(self, _: RuntimeSettings, now: RuntimeSettings) -> None:
        """Something was set at run time."""
        level = self.settings.log.level if now.log_level is None else LEVELS[now.log_level]
        logs.set_level(level)

    def check(self) -> None:
        """Whether all that was asked for can be had. Raises StartupError."""
        if self.managed is not None:
            self.managed.check()

    async def close(self) -> None:
        """End the llama-server that we run, and let go of the rest. The work must have ended."""
        if self.managed is not None:
            await self.managed.stop()
        await self.limit.close()


def write_event(event: Event) -> None:
    """Log what has become of a model."""
    model = event.model
    match event.kind:
        case Kind.LOADED:
            log.info("model is loaded", extra={"model": event.name, "seconds": model and model.load_seconds})
        case Kind.FAILED:
            log.warning("model failed", extra={"model": event.name, "reason": model and model.error})
        case Kind.UNLOADED:
            log.info("model is unloaded", extra={"model": event.name})


def place_preset(settings: Settings) -> Path:
    """Where the preset file is; two sidecars of one user have two. Raises StartupError for a user without a home, where
    nobody says."""
    given = settings.models.preset_file
    if given is not None:
        return Path(given).expanduser()
    try:
        _, port = split_address(settings.proxy.listen)
        return state_directory() / f"models-{port}.ini"
    except RuntimeError:
        raise StartupError("models.preset_file: there is no home directory to keep it in; set it") from None


def count_in_flight(active: ActiveRequests, upstream: str, model: str) -> int:
    """Requests that a model of an upstream is answering. One that routing has not heard of yet is known by the name
    that the client has said."""
    here = (each for each in active.asking() if each.upstream == upstream)
    return sum((each.served_model or each.requested_model) == model for each in here)


def last_used(
    fleet: Fleet, active: ActiveRequests, latest: Callable[[], Snapshot], upstream: str, model: str
) -> float | None:
    """When a model was last asked for something, in UTC seconds since the epoch; None when it never was."""
    now = time.monotonic()
    server = latest().servers.get(upstream)
    if server is not None and server.router:
        at = fleet.last_used(upstream, model, now)
    else:
        at = active.last_active(upstream, now)
    return None if at is None else time.time() - (now - at)


def _home(upstream: Upstream) -> Home:
    return Home(upstream.name, str(upstream.url), upstream.api_key)


def _place(upstream: Upstream) -> Place:
    return Place(upstream.name, upstream.url.host, view_upstream(upstream).port)
