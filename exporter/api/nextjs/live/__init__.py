"""The model manager's live events, by Socket.IO (docs/api-nextjs.md): at `/socket.io/` as the contract documents them,
and at `/llamaproxws` as its own pages use them. The room puts them beside its routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.routing import BaseRoute, Route, WebSocketRoute

from exporter.api.nextjs.facts import SocketFigures
from exporter.api.nextjs.live.logs import Logs
from exporter.api.nextjs.live.namespaces import General, ModelUpdates, metrics_updates
from exporter.api.nextjs.live.pages.orders import Orders
from exporter.api.nextjs.live.pages.pages import Pages
from exporter.api.nextjs.live.sockets.audience import Namespace
from exporter.api.nextjs.live.sockets.clients import Lobby
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.guard import Guard
from exporter.api.nextjs.live.sockets.jobs import Jobs
from exporter.api.nextjs.live.sockets.server import SocketServer
from exporter.api.nextjs.recent import Recent
from exporter.api.views import Views
from exporter.live.logbook import Logbook
from exporter.models.model import Event
from exporter.models.models import Models
from exporter.models.runtime import Runtime
from exporter.models.server.managed import ManagedServer

PATH = "/socket.io"
PAGES_PATH = "/llamaproxws"
PLACES = (PATH, f"{PATH}/", PAGES_PATH, f"{PAGES_PATH}/")
Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LiveRoom:
    """What the room takes into its own."""

    sockets: tuple[BaseRoute, ...]
    work: Mapping[str, Work]
    """For the supervisor."""
    close: Callable[[], None]
    """The sidecar is about to stop."""
    readers: Callable[[], int]
    """Clients that are connected."""
    figures: Callable[[], SocketFigures]


def make_live(
    views: Views,
    *,
    models: Models,
    runtime: Runtime,
    server: Callable[[], ManagedServer | None],
    logbook: Logbook,
    recent: Recent,
    max_readers: int,
) -> LiveRoom:
    """The live events of these. No more than `max_readers` clients are connected, over both paths together."""

    def metrics_seconds() -> float:
        return runtime.current.metrics_interval_ms / 1000

    def models_seconds() -> float:
        return runtime.current.models_interval_ms / 1000

    def logs_seconds() -> float:
        return runtime.current.logs_interval_ms / 1000

    def tell(event: Event) -> None:
        told.tell(event)
        pages.change()

    def change_intervals(*_: object) -> None:
        for each in (metrics.stream.ticker, told.stream.ticker, logs.ticker, pages.metrics.ticker, pages.models.ticker):
            each.changed()

    def close() -> None:
        if lobby.closed:
            return
        lobby.closed = True
        unlisten()
        jobs.close()
        documented.close()
        for_pages.close()

    lobby, delivery, jobs = Lobby(max_readers, views.clock), Delivery(), Jobs()
    metrics = metrics_updates(views, metrics_seconds, delivery)
    told = ModelUpdates(models, models_seconds, delivery, views.clock)
    logs = Logs(logbook, logs_seconds, views.clock)
    namespaces: tuple[Namespace, ...] = (General(), metrics, told, logs)
    pages = Pages(views, models, server, logbook, intervals=(metrics_seconds, models_seconds), delivery=delivery)
    pages.orders = Orders(
        models=models, ids=pages.ids, server=server, recent=recent, views=views, jobs=jobs, correct=pages.correct
    )
    documented = SocketServer(lobby, namespaces, ("polling", "websocket"))
    for_pages = SocketServer(lobby, (pages,), ("websocket",))
    runtime.listen(change_intervals)
    unlisten = models.listen(tell)
    return LiveRoom(
        sockets=(*_routes(PATH, Guard(documented)), *_routes(PAGES_PATH, Guard(for_pages))),
        work={
            "live_delivery": delivery.run,
            "live_watch": documented.watch,
            "live_page_watch": for_pages.watch,
            "live_metrics": metrics.stream.run,
            "live_models": told.stream.run,
            "live_logs": logs.run,
            "live_page_metrics": pages.metrics.run,
            "live_page_models": pages.models.run,
            "live_page_logs": pages.logs.run,
        },
        close=close,
        readers=lambda: len(lobby),
        figures=lambda: SocketFigures(
            clients=len(lobby),
            connections=sum(len(each.audience) for each in (*namespaces, pages)),
            messages_per_second=lobby.traffic.per_second(),
        ),
    )


def _routes(path: str, guard: Guard) -> tuple[BaseRoute, ...]:
    """For clients that put a slash behind it, as most do, and for those that do not."""
    return tuple(route(each, guard) for each in (path, f"{path}/") for route in (Route, WebSocketRoute))
