"""The composition root: builds every part from the settings, hands each what it needs, and runs them until a signal.

The only module that knows everyone. `cli` calls `run`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx
from pydantic import SecretStr

from exporter import __version__, listeners, logs
from exporter.api import (
    admin,
    completions,
    exposition,
    health,
    index,
    monitoring,
    openapi,
    synapse,
    system_metrics,
    vandamme,
)
from exporter.api.room import Room
from exporter.api.sessions import Sessions
from exporter.api.views import Views
from exporter.asgi import ASGIApp
from exporter.backends import has_several, make_backends, make_upstream, read_check, view_upstream
from exporter.collectors import make_collectors
from exporter.fanout import Fanout
from exporter.http_protocol import Connections
from exporter.intake import Intake
from exporter.joined import Joined, ModelUse, only_model
from exporter.keys import KeyRing
from exporter.live.active import ActiveRequests
from exporter.live.feed import Live
from exporter.managed_models import ManagedModels
from exporter.models.preset.place import place_preset
from exporter.observe.observation import Look
from exporter.proxy.forward import Forwarder, Limits
from exporter.proxy.gate import Gate
from exporter.proxy.transport import UpstreamTransport
from exporter.record import Sink
from exporter.routing.fleet import Fleet
from exporter.settings import Settings, split_address
from exporter.settings.otel import OtelSettings, SignalSettings
from exporter.stored import make_sample, name_model, restore
from exporter.system.sampler import Part, Sampler
from exporter.system.since import Since
from exporter.system.snapshot import HealthSnapshot, LlamaServerSnapshot, Snapshot
from exporter.system.upstream_log import UpstreamLog
from exporter.tasks import Supervisor
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.exposition import Exposition
from exporter.telemetry.guard import ERROR_TYPE, FINISH_REASON, MODEL, ORIGIN, Guard
from exporter.telemetry.lag import EventLoopLag
from exporter.telemetry.prometheus import RequestMetrics
from exporter.telemetry.snapshot import SnapshotFamilies
from exporter.telemetry.sources import Sources

if TYPE_CHECKING:
    from exporter.otel.otel import OpenTelemetry
    from exporter.store.store import Store
    from exporter.store.writer import Writer

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""For so long a thread that computes keeps the event loop waiting: that of the store, those of OTLP."""
NOTHING_PUSHED = OtelSettings()
STORED_SAMPLE_SECONDS = 5.0
"""Between two samples in the store, at least."""


def run(settings: Settings, otel: OtelSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartupError before anything is started."""
    listeners.raise_file_limit()
    proxy_socket = listeners.bind(settings.proxy.listen, "proxy.listen")
    admin_sockets = [listeners.bind(address, "admin.listen") for address in settings.admin.listen]
    address = settings.completions.listen
    completions_sockets = [] if address is None else [listeners.bind(address, "completions.listen")]
    ports = [each.getsockname()[1] for each in (proxy_socket, *admin_sockets)]
    sidecar = _Sidecar(settings, otel, proxy_port=ports[0], admin_port=ports[1])
    sidecar.models.check()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(sidecar.serve(proxy_socket, admin_sockets, completions_sockets))


def make_rooms(settings: Settings) -> list[Room]:
    """The rooms of the admin listener, of a sidecar that is not started; for its documentation."""
    return _Sidecar(settings).rooms


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32" or sys.implementation.name != "cpython":
        return None
    import uvloop  # noqa: PLC0415 - not installed on these platforms

    return uvloop.Loop


class _Sidecar:
    """All parts, wired."""

    def __init__(
        self, settings: Settings, otel: OtelSettings = NOTHING_PUSHED, *, proxy_port: int = 0, admin_port: int = 0
    ) -> None:
        """The ports are those that are bound; 0: the sidecar is not to be started."""
        self.settings = settings
        self.upstreams = [make_upstream(each) for each in settings.upstreams]
        self.supervisor = Supervisor()
        self.connections = Connections()
        self.proxy_port = proxy_port
        self.instance = settings.store.instance or f"{socket.gethostname()}:{proxy_port}"
        self.otel = self.make_otel(otel)
        self.active = ActiveRequests()
        self.upstream_log = UpstreamLog()
        self.since = Since()
        self.checks_health = settings.sampling.llama_server and len(self.upstreams) > 1
        self.fleet = Fleet(self.upstreams, settings.routing, checked=self.checks_health)
        self.polls = httpx.AsyncClient(trust_env=False)
        self.sampler = Sampler(
            make_collectors(
                settings,
                self.upstreams,
                self.polls,
                active=self.active,
                last_used=self.fleet.last_used,
                checks_health=self.checks_health,
            ),
            interval_seconds=settings.sampling.interval_seconds,
            on_sample=self.note_sample,
        )
        buckets = Buckets(**settings.metrics.buckets.model_dump(exclude_none=True))
        limits = {
            MODEL: settings.metrics.max_models,
            ORIGIN: settings.metrics.max_origins,
            FINISH_REASON: settings.metrics.max_label_values,
            ERROR_TYPE: settings.metrics.max_label_values,
        }
        self.metrics = RequestMetrics(
            Guard(lambda: self.fleet.layout.by_name, limits=limits),
            buckets,
            only_model=partial(only_model, self.latest),
            tiers=self.fleet.tiers,
        )
        self.live = Live(self.metrics.model_of)
        self.joined = Joined(self.latest, self.fleet, self.active, self.live.recorded_availability)
        self.store = self.make_store()
        self.models = ManagedModels(
            settings,
            self.upstreams,
            self.polls,
            admin_port=admin_port,
            store=self.store,
            latest=self.latest,
            use=ModelUse(self.latest, self.active, self.live.history),
            hasten=self.sampler.hasten,
            preset_file=place_preset(settings),
            restarts=self.supervisor.restarts,
        )
        self.fanout = Fanout(self.sinks())
        self.lag = EventLoopLag(buckets.event_loop_lag)
        self.transport = UpstreamTransport()
        self.forwarder = Forwarder(
            fleet=self.fleet,
            transport=self.transport if self.otel is None else self.otel.wrap(self.transport),
            emit=self.fanout.emit,
            in_flight=self.active,
            gate=Gate(_keys(settings.auth.proxy_api_keys), settings.proxy.max_in_flight),
            limits=Limits(
                connect_seconds=settings.proxy.connect_timeout_seconds,
                idle_seconds=settings.proxy.idle_timeout_seconds,
                held_bytes=settings.proxy.held_body_bytes,
            ),
            look=Look(
                request_bytes=settings.proxy.held_body_bytes,
                gap_bounds=buckets.inter_token,
                client_name_header=settings.proxy.client_name_header.lower().encode(),
            ),
            recording=settings.metrics.enabled,
            routing_headers=settings.routing.response_headers,
            tracing=None if self.otel is None else self.otel.tracing,
        )
        families = self.metrics, SnapshotFamilies(self.sources()), self.lag
        self.exposition = Exposition(*families)
        if self.otel is not None:
            self.otel.push(families, self.joined.boot_time)
        views = self.views()
        self.keys = _keys(settings.auth.api_keys)
        self.sessions = Sessions([key.get_secret_value() for key in settings.auth.api_keys])
        self.rooms = self.make_rooms(views)
        origins = settings.admin.cors_origins
        self.admin = admin.application(self.rooms, self.keys, origins, self.sessions)
        self.completions = admin.application([completions.room(views)], self.keys, origins)

    def latest(self) -> Snapshot:
        """What was sampled last."""
        return self.sampler.latest

    def open_connections(self) -> dict[str, int]:
        """Client connections to the proxy, and live streams of the admin listener."""
        streams = sum(room.readers() for room in self.rooms)
        return {"proxy": self.connections.on(self.proxy_port), "admin": streams}

    def make_otel(self, settings: OtelSettings) -> OpenTelemetry | None:
        """What is pushed; None where nothing is to."""
        if not self.settings.metrics.enabled:  # then nothing is known of a request
            settings = replace(settings, traces=SignalSettings())
        if not settings.on:
            return None
        from exporter.otel.otel import OpenTelemetry  # noqa: PLC0415 - its libraries take 25 MB

        return OpenTelemetry(settings, self.instance, self.upstreams)

    def make_store(self) -> Store | None:
        """What survives a restart; None where nothing is to."""
        settings = self.settings.store
        if settings.place is None:
            return None
        from exporter.store.store import Store  # noqa: PLC0415 - its libraries take 30 MB

        return Store(
            settings.place,
            settings,
            self.instance,
            model_of=lambda record: name_model(record, self.metrics.model_of(record)),
            on_open=partial(restore, self.live.totals),
        )

    def make_rooms(self, views: Views) -> list[Room]:
        """Everything that is served on the admin listener."""
        live = self.settings.live
        rooms = [
            exposition.room(self.exposition.render, document=completions.metrics_of(views)),
            completions.room(views, shared=True),
            health.room(views),
            system_metrics.room(
                views,
                interval=lambda: self.sampler.interval_seconds,
                set_interval=self.sampler.set_interval,
                envelope=live.system_metrics_envelope,
            ),
            synapse.room(
                views,
                intake=self.intake(),
                max_readers=live.max_readers,
            ),
            self.models.room(views),
            self.monitoring(views),
            vandamme.room(
                views,
                enabled=live.active_requests_stream,
                interval_seconds=live.active_requests_interval_seconds,
                heartbeat_seconds=live.active_requests_heartbeat_seconds,
                max_readers=live.max_readers,
            ),
            index.room(__version__),
        ]
        return [*rooms, openapi.room(rooms, __version__, bool(self.keys))]

    def monitoring(self, views: Views) -> Room:
        """The built-in page."""
        host, port = split_address(self.settings.proxy.listen)
        return monitoring.room(
            views,
            self.models.models,
            keys=self.keys,
            sessions=self.sessions,
            proxy=monitoring.Proxy(host, self.proxy_port or port, bool(self.settings.auth.proxy_api_keys)),
            streams=self.settings.live.active_requests_stream,
            sample_seconds=lambda: self.sampler.interval_seconds,
        )

    def intake(self) -> Intake:
        """For what applications tell that route by themselves."""
        decision_sinks = self.metrics.record_decision, self.live.record_decision
        return Intake(self.fanout.emit, decision_sinks, self.live.recorded_availability)

    def views(self) -> Views:
        """What the rooms may know."""
        return Views(
            version=__version__,
            instance=self.instance,
            upstreams=tuple(view_upstream(each) for each in self.upstreams),
            tiers=self.settings.routing.tiers,
            recording=self.settings.metrics.enabled,
            servers_sampled=self.settings.sampling.llama_server,
            started=time.monotonic(),
            snapshot=self.latest,
            active=self.active,
            windows=self.live.windows,
            history=self.live.history,
            totals=self.live.totals,
            decisions=self.live.decisions,
            availability=self.joined.availability,
            since=self.since.since,
            only_model=partial(only_model, self.latest),
            connections=lambda: sum(self.open_connections().values()),
            past=self.store.reader if self.store is not None else None,
        )

    def sinks(self) -> dict[str, Sink]:
        """Everything that wants the finished records."""
        sinks: dict[str, Sink] = {"prometheus": self.metrics.record, "live": self.live.record}
        if self.store is not None:
            sinks["store"] = self.store.writer.record
        if self.otel is not None and self.otel.sink is not None:
            sinks["traces"] = self.otel.sink
        if logs.access_log.isEnabledFor(logging.DEBUG):
            sinks["access_log"] = logs.write_access
        return sinks

    def sources(self) -> Sources:
        """What the metrics show beside the finished requests."""
        return Sources(
            snapshot=self.latest,
            in_flight=self.joined.in_flight,
            open_connections=self.open_connections,
            configured_models=self.joined.configured_models,
            out_of_rotation=self.fleet.out_of_rotation,
            recorded_availability=self.live.recorded_availability.tiers,
            sink_errors=self.fanout.errors,
            parse_errors=self.forwarder.parse_errors,
            task_restarts=self.supervisor.restarts,
            version=__version__,
            store=lambda: self.store.writer.status() if self.store is not None else None,
            pushed=lambda: self.otel.status() if self.otel is not None else None,
        )

    async def serve(
        self,
        proxy_socket: socket.socket,
        admin_sockets: Sequence[socket.socket],
        completions_sockets: Sequence[socket.socket],
    ) -> None:
        """Start what runs in the background, serve, and stop it all again."""
        if self.store is not None or self.otel is not None:
            sys.setswitchinterval(SWITCH_SECONDS)
        detach = logs.attach(self.models.logbook)
        self.supervisor.start("sampler", self.sampler.run)
        self.supervisor.start("event_loop_lag", self.lag.run)
        for room in self.rooms:
            for name, work in room.work.items():
                self.supervisor.start(name, work)
        if self.store is not None:
            for name, work in self.store.work.items():
                self.supervisor.start(name, work)
            self.supervisor.start("store_samples", partial(self.keep_samples, self.store.writer))
        for name, work in self.models.work.items():
            self.supervisor.start(name, work)
        if self.otel is not None:
            self.otel.announce()
            for name, work in self.otel.work.items():
                self.supervisor.start(name, work)
        by_name = {"proxy": [proxy_socket], "admin": admin_sockets, "completions": completions_sockets}
        _announce(self.settings, by_name)
        gc.collect()
        gc.freeze()  # what was loaded stays: the collector need not look through it again and again
        apps: list[tuple[socket.socket, ASGIApp]] = [(proxy_socket, self.forwarder)]
        apps += [(each, self.admin) for each in admin_sockets]
        apps += [(each, self.completions) for each in completions_sockets]
        hurry = asyncio.Event()
        self.models.start()
        try:
            hurry = await listeners.serve(
                apps,
                grace_seconds=self.settings.proxy.shutdown_grace_seconds,
                websocket_sockets=admin_sockets,
                connections=self.connections,
                on_stop=self.end_streams,
            )
        finally:
            await self.supervisor.stop()
            await self.models.close(hurry)
            await self.end_writing()
            await self.sampler.close()
            await self.polls.aclose()
            await self.transport.aclose()
            detach()
        log.info("stopped")

    def end_streams(self) -> None:
        """The sidecar is about to stop: what would go on for ever ends."""
        for room in self.rooms:
            room.close()

    async def end_writing(self) -> None:
        """Let go of what is still to be written and pushed, both at once."""
        ends: list[Awaitable[None]] = []
        if self.otel is not None:
            ends.append(self.otel.close())
        if self.store is not None:
            ends.append(self.store.writer.close())
        for result in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(result, BaseException):
                log.error("the end met an error", exc_info=result)

    async def keep_samples(self, writer: Writer) -> None:
        """Hand the newest sample to the store, for ever."""
        while True:
            await asyncio.sleep(max(self.sampler.interval_seconds, STORED_SAMPLE_SECONDS))
            in_flight = sum(1 for _ in self.active.asking())
            writer.sample(make_sample(self.sampler.latest, in_flight, time.time()))

    def note_sample(self, part: Part) -> None:
        """A collector has looked."""
        if isinstance(part, LlamaServerSnapshot):
            upstream = next(each for each in self.upstreams if each.name == part.upstream)
            self.fleet.described(part.upstream, make_backends(upstream, part), router=has_several(part))
            self.metrics.observe_health(part)
            self.since.note(part.upstream, up=part.up, wall=time.time())
            if part.up or not self.models.is_starting(part.upstream):
                self.upstream_log.note(part)
        elif isinstance(part, HealthSnapshot):
            self.metrics.observe_health(part)
            check = read_check(part.state)
            if check is not None:
                self.fleet.checked(part.upstream, check)


def _keys(keys: Sequence[SecretStr]) -> KeyRing:
    return KeyRing(key.get_secret_value() for key in keys)


def _announce(settings: Settings, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
    for upstream in settings.upstreams:
        log.info("upstream", extra={"upstream": upstream.name, "url": upstream.url, "tier": upstream.tier})
    for name, bound in sockets.items():
        for each in bound:
            url = listeners.url(each)
            page = f"{url}{monitoring.PATH}" if name == "admin" else None
            log.info("listening", extra={"listener": name, "url": url, "page": page})
            if name != "proxy" and not listeners.is_loopback(each) and not settings.auth.api_keys:
                log.warning(
                    "the %s listener is open to other machines without a key; set auth.api_keys or PROXY_API_KEY",
                    name,
                    extra={"url": listeners.url(each)},
                )
    home = settings.upstreams[0]
    if settings.models.llama_server is not None and not home.is_local and home.api_key is None:
        log.warning(
            "the managed llama-server is open to other machines without a key; set upstreams.api_key",
            extra={"url": home.url},
        )
    if settings.store.place is None:
        log.info("no history is kept: store.url is none, or unset and there is no home directory")
    if not settings.metrics.enabled:
        log.warning("metrics are disabled: traffic flows, nothing is recorded")
