"""The operations of the room, with what the description says of each: summary, units, example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.operation import Answer, Handler, Operation
from exporter.api.synapse import examples, recording
from exporter.api.synapse.answers import HEADERS, JSONAnswer, refuse
from exporter.api.synapse.documents import Error, Queries, Recorded, Resources, Routing, Tiers
from exporter.api.synapse.present import Present
from exporter.api.synapse.recording import Recorder
from exporter.api.synapse.status_documents import ContextUtilization, Historical, ModelsStatus, OrchestratorStatus
from exporter.api.synapse.told import RecordedDecision, RecordedModels, RecordedQuery

STREAM_PATH = "/api/metrics/ws"
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade"}
FOR_GOOD = (
    "**Trying it out really records**, here and in Prometheus, and it cannot be taken back. Do not record requests "
    "that pass the proxy: they would count twice."
)


class _Document(NamedTuple):
    """One that is polled."""

    path: str
    about: str
    details: str
    kind: Any
    example: Any
    make: Callable[[Present], Any]


_DOCUMENTS = (
    _Document(
        "metrics/queries",
        "Request rate and latency",
        "18 steps of 10 s, of which the last one is complete, in requests per second; and totals over the last 30 "
        "minutes, latency in milliseconds.",
        Queries,
        examples.QUERIES,
        Present.queries,
    ),
    _Document(
        "metrics/tiers",
        "Speed, latency and errors of each tier",
        "For each tier of `routing.tiers`: tokens per second and milliseconds of its last 20 requests, oldest first; "
        "`requestCount` and `errorRate` (0 to 1) since the start.",
        Tiers,
        examples.TIERS,
        Present.tiers,
    ),
    _Document(
        "metrics/resources",
        "CPU, memory, GPU memory, disks, network",
        "As sampled last: memory in GiB, rates in MiB per second, percentages 0 to 100, sizes of index and cache in "
        "bytes. What is not known is 0.",
        Resources,
        examples.RESOURCES,
        Present.resources,
    ),
    _Document(
        "metrics/routing",
        "Routing decisions and available models",
        "Counts since the start; `avgDecisionTimeMs` in milliseconds, of the last 100 decisions; `fallbackRate` is 0 "
        "to 1. With a single llama-server nothing is routed, and all counts are 0.",
        Routing,
        examples.ROUTING,
        Present.routing,
    ),
    _Document(
        "metrics/historical",
        "Totals since the start",
        "Latencies are in milliseconds, the percentiles over the last 30 minutes; `errorRate` and `cacheHitRate` are "
        "percentages (0 to 100); `totalCacheHits` and `totalCacheMisses` are prompt tokens.",
        Historical,
        examples.HISTORICAL,
        Present.historical,
    ),
    _Document(
        "metrics/context-utilization",
        "Utilization of the contexts",
        "Tokens in the slots that are working, of the tokens that fit into all slots of loaded models, as sampled "
        "last. The percentage is 0 to 100.",
        ContextUtilization,
        examples.CONTEXT_UTILIZATION,
        Present.context_utilization,
    ),
    _Document(
        "models/status",
        "Status and history of each model",
        "One entry per model of each llama-server. Memory is in MiB (`memoryUsed`, `memoryTotal`) or GiB (`...Gb`), "
        "times are in milliseconds, `cacheHitRate` is 0 to 1.",
        ModelsStatus,
        examples.MODELS_STATUS,
        Present.models_status,
    ),
    _Document(
        "orchestrator/status",
        "Utilization of the tiers, latest decisions",
        "`utilizationPercent` (0 to 100) is as old as the last sample; decisions are counted since the start, the "
        "last ten are listed, newest first.",
        OrchestratorStatus,
        examples.ORCHESTRATOR_STATUS,
        Present.orchestrator_status,
    ),
)


def reading(present: Present) -> tuple[Operation, ...]:
    """What is polled."""
    return tuple(_read(document, present) for document in _DOCUMENTS)


def _read(document: _Document, present: Present) -> Operation:
    async def handle(_: Request) -> Response:
        return JSONAnswer(document.make(present))

    name = "get_synapse_" + document.path.replace("/", "_").replace("-", "_")
    answer = Answer("The document", document.kind, headers=HEADERS, example=document.example)
    return Operation("GET", f"/api/{document.path}", handle, name, document.about, {200: answer}, document.details)


def handshake() -> Operation:
    """A plain request to the WebSocket's path (RFC 9110, 15.5.22)."""

    async def handle(_: Request) -> Response:
        return refuse(426, "this is a WebSocket: connect to it as one", headers=UPGRADE)

    headers = {**HEADERS, "Upgrade": "`websocket`"}
    return Operation(
        *("GET", STREAM_PATH, handle, "get_synapse_metrics_ws", "Plain HTTP on the WebSocket's path (426)"),
        {426: Answer("The path is a WebSocket", Error, headers=headers, example=examples.PLAIN)},
        "The WebSocket sends `queries`, `resources` and `routing` in one message at once, then every second. "
        "Try it with `python -m websockets ws://127.0.0.1:9464/api/metrics/ws`.",
    )


def taking(recorder: Recorder) -> tuple[Operation, ...]:
    """What applications record."""
    return (
        _record(
            recording.QUERY_PATH,
            "Record a query",
            "A query that an application has answered by itself, just now. Times are in milliseconds.",
            RecordedQuery,
            recorder.handler(RecordedQuery, recorder.query),
        ),
        _record(
            recording.ROUTING_PATH,
            "Record a routing decision",
            "The choice of a tier by an application, with the time that it took in milliseconds.",
            RecordedDecision,
            recorder.handler(RecordedDecision, recorder.decision),
        ),
        _record(
            recording.AVAILABILITY_PATH,
            "Record the availability of a tier",
            "How many models of a tier there are, and how many can answer. It replaces what the sidecar knows of "
            "the tier until the next one, or until the sidecar is restarted: post at the start and on every change.",
            RecordedModels,
            recorder.handler(RecordedModels, recorder.models),
        ),
    )


def _record(path: str, about: str, details: str, kind: Any, handle: Handler) -> Operation:
    answers = {
        202: Answer(
            "Recorded, unless recording is off (`metrics.enabled`)",
            Recorded,
            headers=HEADERS,
            example=examples.RECORDED,
        ),
        400: Answer("The body is not valid", Error, headers=HEADERS, example=examples.BAD_BODY),
        403: Answer(
            "A web page of an origin that `admin.cors_origins` does not name",
            Error,
            headers=HEADERS,
            example=examples.FOREIGN,
        ),
        408: Answer(
            "The body was not complete in time",
            Error,
            headers={**HEADERS, "Connection": "`close`"},
            example=examples.TOO_LATE,
        ),
        413: Answer("The body is too long", Error, headers=HEADERS, example=examples.TOO_LONG),
    }
    name = f"post_synapse_{path.rsplit('/', 1)[1]}"
    return Operation("POST", path, handle, name, about, answers, f"{details}\n\n{FOR_GOOD}", body=kind)
