"""The room of S.Y.N.A.P.S.E. Engine's metrics contract: what its pages poll, its WebSocket, and the routes over which
applications record what they did by themselves (docs/api-synapse.md)."""

from __future__ import annotations

from starlette.routing import WebSocketRoute

from exporter.api.room import Room
from exporter.api.synapse.answers import refuse
from exporter.api.synapse.documents import Error
from exporter.api.synapse.operations import STREAM_PATH, handshake, reading, taking
from exporter.api.synapse.present import Present
from exporter.api.synapse.recording import Intake, Recorder
from exporter.api.synapse.stream import MetricsStream
from exporter.api.views import Views

PLACES = ("/api/metrics/", "/api/models/status", "/api/orchestrator/")
ABOUT = (
    "Compatible with the metrics API of S.Y.N.A.P.S.E. Engine: [docs/api-synapse.md](docs/api-synapse.md). Only tiers "
    "of `routing.tiers` are shown."
)


def room(views: Views, *, intake: Intake, max_readers: int) -> Room:
    """The room. `max_readers` WebSockets are read at once."""
    present = Present(views)
    stream = MetricsStream(present.update, max_readers, views.clock)
    return Room(
        name="Synapse",
        about=ABOUT,
        operations=(*reading(present), handshake(), *taking(Recorder(views, intake))),
        places=PLACES,
        refuse=refuse,
        error_shape=Error,
        sockets=(WebSocketRoute(STREAM_PATH, stream),),
        work={"synapse_ticks": stream.run},
        close=stream.close,
        readers=stream.readers,
    )
