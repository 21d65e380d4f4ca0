"""The models that people manage through the admin listener, with all that belongs to them: what is set at run time, the
llama-server that we run, the log that is read from afar, and the room of the contract. For `app`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from exporter.joined import ModelUse
from exporter.live.logbook import Logbook
from exporter.models.default_model import DefaultModel
from exporter.models.events import log_event
from exporter.models.files.places import Places
from exporter.models.model import Event, Kind
from exporter.models.models import Models
from exporter.models.router.watch import Home
from exporter.models.runtime import LogLevel, Runtime, RuntimeSettings
from exporter.models.server.launch import Launch
from exporter.models.server.managed import Managed, ManagedServer
from exporter.routing.upstream import Upstream
from exporter.settings import Settings, split_address
from exporter.system.llama_server import collector_name
from exporter.system.snapshot import Snapshot
from exporter.tasks import Supervisor

if TYPE_CHECKING:
    from exporter.store.store import Store

TASK = "llama_server"
"""What runs in the background, by name, as restarts are counted."""
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
        admin_port: int,
        store: Store | None,
        latest: Callable[[], Snapshot],
        use: ModelUse,
        hasten: Callable[[str], None],
        preset_file: Path,
        restarts: dict[str, int],
    ) -> None:
        """`client` is used for talking to the router alone; `restarts` of what runs in the background are counted by
        name, and `hasten` has one of the collectors look again."""
        self.hasten = hasten
        self.admin_port = admin_port
        self.settings = settings
        self.upstreams = upstreams
        self.restarts = restarts
        self.supervisor = Supervisor()
        """Of the llama-server that we run, which ends after everything else."""
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
            owner=settings.store.instance or settings.proxy.listen,
            client=client,
            home=self.home,
            snapshot=latest,
            in_flight=use.in_flight,
            last_used=use.last_used,
            last_words=None if self.managed is None else self.managed.last_words,
        )
        url = settings.rate_limit.redis_url
        self.limit = RateLimit(settings.rate_limit.requests_per_minute, None if url is None else url.get_secret_value())
        self.store = store
        self.models.listen(self.note)
        self.default_model = DefaultModel(self.models, self.runtime)

    def make_managed(self, preset_file: Path) -> Managed | None:
        """The llama-server that we run; None where we run none."""
        settings, home = self.settings.models, self.upstreams[0]
        if settings.llama_server is None:
            return None
        launch = Launch(
            binary=settings.llama_server,
            url=str(home.url),
            preset_file=preset_file,
            restore_preset=self.restore_preset,
            models_max=self.models_max,
            arguments=settings.arguments,
            api_key=home.api_key,
        )
        managed = Managed(launch, self.logbook.add_server_line, on_restart=self.count_restart)
        managed.on_ready(self.note_ready)
        return managed

    def restore_preset(self) -> None:
        """See that the preset file says what it should, just before llama-server reads it; in a thread. Raises
        FailedError."""
        self.models.restore_preset()

    def note(self, event: Event) -> None:
        """Something has happened to a model: it is logged, and looked at, so that routing and metrics know it, too."""
        log_event(event)
        home = self.home()
        if home is not None and event.kind is not Kind.LOADING:
            self.hasten(collector_name(home.name))

    def count_restart(self) -> None:
        """The llama-server that we run is started again."""
        self.restarts[TASK] += 1

    def note_ready(self) -> None:
        """The llama-server that we run answers: so far it was seen not to."""
        self.default_model.note_ready()
        self.hasten(collector_name(self.upstreams[0].name))

    def is_starting(self, upstream: str) -> bool:
        """Whether an upstream is the llama-server that we run, and need not answer yet."""
        managed = self.server()
        return managed is not None and upstream == self.upstreams[0].name and managed.is_starting(time.time())

    def models_max(self) -> int:
        """Models that it is to keep loaded at once."""
        said = self.runtime.current.max_loaded
        return self.settings.models.max_loaded if said is None else said

    def home(self) -> Home | None:
        """The llama-server that loads go to: the one that we run, else the first that is a router."""
        if self.managed is not None:
            return _home(self.upstreams[0])
        servers = self.latest().servers
        for each in self.upstreams:
            if each.name not in servers:
                return None  # it may be the one
            if servers[each.name].router:
                return _home(each)
        return None

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
            port=self.admin_port or port,
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
        return {**self.models.work, "default_model": self.default_model.run}

    def heed(self, _: RuntimeSettings, now: RuntimeSettings) -> None:
        """Something was set at run time."""
        level = self.settings.log.level if now.log_level is None else LEVELS[now.log_level]
        logs.set_level(level)

    def check(self) -> None:
        """Whether all that was asked for can be had. Raises StartupError."""
        for root in self.places.roots:
            if not root.is_dir():
                log.warning("models.dir: there is no such folder now", extra={"folder": str(root)})
        if self.managed is not None:
            self.managed.check()

    def start(self) -> None:
        """Start the llama-server that we run."""
        if self.managed is not None:
            self.supervisor.start(TASK, self.managed.run)
            self.restarts[TASK] = 0

    async def close(self, hurry: asyncio.Event) -> None:
        """End the llama-server that we run, at once as soon as `hurry` is set, and let go of the rest. The work must
        have ended."""
        if self.managed is not None:
            await self.managed.stop(hurry)
        await self.supervisor.stop()
        await self.limit.close()


def _home(upstream: Upstream) -> Home:
    return Home(upstream.name, str(upstream.url), upstream.api_key)


def _place(upstream: Upstream) -> Place:
    return Place(upstream.name, upstream.url.host, view_upstream(upstream).port)
