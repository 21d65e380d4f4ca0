"""Our own liveness and readiness: `GET /-/healthy` (the process serves), `GET /-/ready` (an upstream answers), and
`GET /health`, which tells the latter to clients of the systems whose contracts the admin listener serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from exporter.api.documents import NO_CACHE, document, json_answer, utc
from exporter.api.operation import Answer, Operation
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.system.snapshot import Snapshot


@document
class UpstreamReadiness(TypedDict):
    """One llama-server."""

    ready: bool | None
    """null while nobody has looked."""
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
    """What llama-server speaks, beside Anthropic's."""


@document
class Health(TypedDict):
    """How the sidecar and its upstreams are. Dashboards read it as YAML, too: keep to what both are."""

    status: Literal["healthy", "degraded"]
    """`degraded`: no upstream answers."""
    timestamp: str
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


def room(views: Views) -> Room:
    """The three routes."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("llama-exporter is healthy.\n", headers=NO_CACHE)

    async def ready(_: Request) -> Response:
        document = ready_now(views)
        return json_answer(document, 200 if document["ready"] else 503)

    async def show(_: Request) -> Response:
        providers = [upstream.provider for upstream in views.upstreams]
        return json_answer(health(providers, views.wall(), ready=ready_now(views)["ready"]))

    alive = {200: Answer("The process serves", str, media="text/plain")}
    readable = {200: Answer("Ready", Readiness), 503: Answer("Not ready", Readiness)}
    shown = {200: Answer("Healthy or degraded", Health)}
    return Room(
        name="Health",
        about="Whether the sidecar itself lives, and whether it can be of use.",
        operations=(
            Operation("GET", "/-/healthy", healthy, "get_healthy", "Liveness", alive, open=True),
            Operation("GET", "/-/ready", ready, "get_ready", "Readiness: at least one upstream answers", readable),
            Operation("GET", "/health", show, "get_health", "Health, as clients of other systems ask for it", shown),
        ),
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
