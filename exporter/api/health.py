"""Our own liveness and readiness: `GET /-/healthy` (the process serves), `GET /-/ready` (an upstream answers), and
`GET /health`, which tells the latter to clients of the systems whose contracts the admin listener serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from exporter.api.documents import NO_CACHE, Time, document, json_answer
from exporter.api.operation import Answer, Handler, Operation
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.system.snapshot import Snapshot
from exporter.utc import utc


@document
class UpstreamReadiness(TypedDict):
    """One llama-server."""

    ready: bool | None
    """null until it has been sampled."""
    state: str
    reason: NotRequired[str]
    """Why it is not ready."""


@document
class Readiness(TypedDict):
    """Whether requests can be answered."""

    ready: bool
    """At least one upstream answers."""
    upstreams: dict[str, UpstreamReadiness]


@document
class ProviderHealth(TypedDict):
    """One provider."""

    api_format: Literal["openai"]
    """The API that llama-server speaks (beside Anthropic's)."""


@document
class Health(TypedDict):
    """Health of the sidecar and its upstreams. Valid as YAML, too, since some dashboards read it so."""

    status: Literal["healthy", "degraded"]
    """`degraded`: no upstream answers."""
    timestamp: Time
    default_provider: str
    """That of the first upstream."""
    providers: dict[str, ProviderHealth]
    """Those of the upstreams, as configured."""
    suggestions: NotRequired[list[str]]
    """What to do; absent while healthy."""


SUGGESTIONS = [
    "Check that llama-server runs and has loaded its model",
    "GET /-/ready says what is known of each upstream",
]


LIVENESS = "200 as long as the process serves, whatever its upstreams do. It never needs a key."
ABOUT = "As of the last sample of each upstream: its state, and the reason where it is not ready. 503 without any."
COMPATIBLE = (
    "Always 200; `status` is `degraded` while no upstream answers. Vandamme Proxy's dashboard asks for it first."
)
ALIVE = "llama-exporter is healthy.\n"
READY: Readiness = {"ready": True, "upstreams": {"Q4": {"ready": True, "state": "ready"}}}
NOT_READY: Readiness = {
    "ready": False,
    "upstreams": {"Q4": {"ready": False, "state": "unreachable", "reason": "connection refused"}},
}
HEALTHY: Health = {
    "status": "healthy",
    "timestamp": "2026-11-20T08:32:30.000Z",
    "default_provider": "llama_cpp",
    "providers": {"llama_cpp": {"api_format": "openai"}},
}


def room(views: Views) -> Room:
    """The three routes."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse(ALIVE, headers=NO_CACHE)

    async def ready(_: Request) -> Response:
        document = ready_now(views)
        return json_answer(document, 200 if document["ready"] else 503)

    async def show(_: Request) -> Response:
        providers = [upstream.provider for upstream in views.upstreams]
        return json_answer(health(providers, views.wall(), ready=ready_now(views)["ready"]))

    return Room(
        name="Health",
        about="Liveness of the sidecar, and readiness of the llama-servers behind it.",
        operations=operations(healthy, ready, show),
    )


def operations(healthy: Handler, ready: Handler, show: Handler) -> tuple[Operation, ...]:
    """The three operations with their texts."""
    alive = {200: Answer("The process serves", str, media="text/plain", example=ALIVE)}
    readable = {
        200: Answer("Ready", Readiness, example=READY),
        503: Answer("Not ready", Readiness, example=NOT_READY),
    }
    shown = {200: Answer("Healthy or degraded", Health, example=HEALTHY)}
    return (
        Operation("GET", "/-/healthy", healthy, "get_healthy", "Liveness", alive, LIVENESS, open=True),
        Operation("GET", "/-/ready", ready, "get_ready", "Readiness: at least one upstream answers", readable, ABOUT),
        Operation("GET", "/health", show, "get_health", "Health, for dashboards of other systems", shown, COMPATIBLE),
    )


def ready_now(views: Views) -> Readiness:
    """Of all upstreams."""
    names = [upstream.name for upstream in views.upstreams]
    return readiness(names, views.snapshot(), sampled=views.servers_sampled)


def health(providers: Sequence[str], wall: float, *, ready: bool) -> Health:
    """`providers` in the order of the upstreams, of which there is at least one; `wall` is UTC."""
    document: Health = {
        "status": "healthy" if ready else "degraded",
        "timestamp": utc(wall),
        "default_provider": providers[0],
        "providers": {provider: {"api_format": "openai"} for provider in providers},
    }
    if not ready:
        document["suggestions"] = SUGGESTIONS
    return document


def readiness(upstreams: Sequence[str], snapshot: Snapshot, *, sampled: bool) -> Readiness:
    """Of all upstreams, by name, in configured order."""
    entries: dict[str, UpstreamReadiness] = {}
    for name in upstreams:
        server = snapshot.servers.get(name)
        if server is None:
            entries[name] = {"ready": None, "state": "not looked at yet" if sampled else "not looked at"}
            continue
        entries[name] = {"ready": server.up, "state": str(server.state)}
        if server.error is not None:
            entries[name]["reason"] = server.error
    return {"ready": not sampled or any(entry["ready"] for entry in entries.values()), "upstreams": entries}
