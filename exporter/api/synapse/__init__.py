"""The room of S.Y.N.A.P.S.E. Engine's metrics contract: what its pages poll, its WebSocket, and the routes over which
applications record what they did by themselves (docs/api-synapse.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute

from exporter.api.operation import Answer, Handler, Operation
from exporter.api.room import Room
from exporter.api.synapse import recording
from exporter.api.synapse.answers import HEADERS, JSONAnswer, refuse
from exporter.api.synapse.documents import Error, Queries, Recorded, Resources, Routing, Tiers
from exporter.api.synapse.present import Present
from exporter.api.synapse.recording import Intake, Recorder
from exporter.api.synapse.status_documents import ContextUtilization, Historical, ModelsStatus, OrchestratorStatus
from exporter.api.synapse.stream import MetricsStream
from exporter.api.synapse.told import RecordedDecision, RecordedModels, RecordedQuery
from exporter.api.views import Views

STREAM_PATH = "/api/metrics/ws"
PLACES = ("/api/metrics/", "/api/models/status", "/api/orchestrator/")
ABOUT = (
    "The metrics contract of S.Y.N.A.P.S.E. Engine, as [docs/api-synapse.md](docs/api-synapse.md) explains it. "
    "Its WebSocket sends `queries`, `resources` and `routing` together: at once, then every second."
)
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}


def room(
    views: Views,
    *,
    intake: Intake,
    max_readers: int,
    index_bytes: Callable[[], int],
    redis_bytes: Callable[[], int],
) -> Room:
    """The room. `max_readers` WebSockets are read at once; `index_bytes` and `redis_bytes` are 0 where nothing is
    configured."""
    present = Present(views, index_bytes, redis_bytes)
    stream = MetricsStream(present.update, max_readers, views.clock)
    return Room(
        name="Synapse",
        about=ABOUT,
        operations=(*_reading(present), _handshake(), *_recording(Recorder(views, intake))),
        places=PLACES,
        refuse=refuse,
        error_shape=Error,
        sockets=(WebSocketRoute(STREAM_PATH, stream),),
        work={"synapse_ticks": stream.run},
        close=stream.close,
        readers=stream.readers,
    )


def _reading(present: Present) -> tuple[Operation, ...]:
    return (
        _read("metrics/queries", "Request rate and latency", Queries, present.queries),
        _read("metrics/tiers", "How each tier does", Tiers, present.tiers),
        _read("metrics/resources", "The machine, as it was sampled last", Resources, present.resources),
        _read("metrics/routing", "Decisions, and who can answer", Routing, present.routing),
        _read("metrics/historical", "Everything since the start", Historical, present.historical),
        _read("metrics/context-utilization", "How full contexts are", ContextUtilization, present.context_utilization),
        _read("models/status", "Each model, and how it has done", ModelsStatus, present.models_status),
        _read("orchestrator/status", "What routing does", OrchestratorStatus, present.orchestrator_status),
    )


def _read(path: str, about: str, kind: Any, make: Callable[[], Any]) -> Operation:
    async def handle(_: Request) -> Response:
        return JSONAnswer(make())

    name = "get_synapse_" + path.replace("/", "_").replace("-", "_")
    return Operation("GET", f"/api/{path}", handle, name, about, {200: Answer("As of now", kind, headers=HEADERS)})


def _handshake() -> Operation:
    """A plain request to the WebSocket's path (RFC 9110, 15.5.22)."""

    async def handle(_: Request) -> Response:
        return refuse(426, "this is a WebSocket: connect to it as one", headers=UPGRADE)

    headers = {**HEADERS, "Upgrade": "`websocket`"}
    answers = {426: Answer("It is for WebSockets", Error, headers=headers)}
    return Operation("GET", STREAM_PATH, handle, "get_synapse_metrics_ws", "The WebSocket, asked plainly", answers)


def _recording(recorder: Recorder) -> tuple[Operation, ...]:
    query = recorder.handler(RecordedQuery, recorder.query)
    decision = recorder.handler(RecordedDecision, recorder.decision)
    models = recorder.handler(RecordedModels, recorder.models)
    return (
        _record(recording.QUERY_PATH, "Record a query", RecordedQuery, query),
        _record(recording.ROUTING_PATH, "Record a decision", RecordedDecision, decision),
        _record(recording.AVAILABILITY_PATH, "Record who can answer", RecordedModels, models),
    )


def _record(path: str, about: str, kind: Any, handle: Handler) -> Operation:
    answers = {
        202: Answer("Taken, unless nothing is recorded", Recorded, headers=HEADERS),
        400: Answer("The body is not as it should be", Error, headers=HEADERS),
        403: Answer("The page that asks may not", Error, headers=HEADERS),
        413: Answer("The body is too long", Error, headers=HEADERS),
    }
    return Operation("POST", path, handle, f"post_synapse_{path.rsplit('/', 1)[1]}", about, answers, body=kind)
