"""The room of nextjs-llama-async-proxy's API: models that are registered, loaded and unloaded, configuration,
parameters, the machine now and in the past, health and status. `live` is its Socket.IO. The page: docs/api-nextjs.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from starlette.routing import BaseRoute

from exporter.api.nextjs.configuration import routes as configuration_routes
from exporter.api.nextjs.configuration.changes import Changing
from exporter.api.nextjs.desk import Desk
from exporter.api.nextjs.error_documents import AnyError
from exporter.api.nextjs.facts import Facts, SocketFigures
from exporter.api.nextjs.gate import Gate
from exporter.api.nextjs.models import loading as loading_routes
from exporter.api.nextjs.models import routes as model_routes
from exporter.api.nextjs.monitoring import routes as monitoring_routes
from exporter.api.nextjs.parameters import routes as parameter_routes
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.api.nextjs.recent import Recent
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.models.models import Models
from exporter.models.runtime import Runtime
from exporter.models.server.managed import ManagedServer

TREES = ("models", "config", "monitoring", "parameters", "health", "status", "logger", "model-templates")
PLACES = tuple(place for tree in TREES for place in (f"/api/{tree}", f"/api/{tree}/"))
ABOUT = (
    "Models that are found, registered, loaded and unloaded through the sidecar, with their parameters; configuration, "
    "the machine now and in the past, health. Compatible with nextjs-llama-async-proxy: "
    "[docs/api-nextjs.md](docs/api-nextjs.md). One address may make so many requests a minute "
    "(`rate_limit.requests_per_minute`)."
)


def room(
    views: Views,
    *,
    models: Models,
    runtime: Runtime,
    server: Callable[[], ManagedServer | None],
    facts: Facts,
    limit: RateLimit,
    recent: Recent | None = None,
    connected: Callable[[], SocketFigures] = SocketFigures,
    sockets: Sequence[BaseRoute] = (),
    places: Sequence[str] = (),
    work: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    close: Callable[[], object] = list,
    readers: Callable[[], int] = int,
) -> Room:
    """The room. `server`: the llama-server that the sidecar runs itself, None where it runs none. What `live` brings:
    `sockets` and their `places`, `work`, `close`, `readers`, `connected`, and `recent`, which both need."""
    desk = Desk(views, models, runtime, server, facts, recent or Recent(views.clock), connected)
    changing, starts = Changing(desk), loading_routes.Starting(desk)

    def end() -> None:
        starts.close()
        close()

    return Room(
        name="Models",
        about=ABOUT,
        operations=(
            *model_routes.operations(desk),
            *loading_routes.operations(desk, starts),
            *model_routes.operations_on_one(desk),
            *configuration_routes.operations(desk, changing),
            *monitoring_routes.operations(desk),
            *parameter_routes.operations(desk, changing),
        ),
        places=(*PLACES, *places),
        refuse=desk.refuse,
        error_shape=AnyError,
        gate=Gate(limit),
        sockets=tuple(sockets),
        work=work or {},
        close=end,
        readers=readers,
    )
