"""Our own liveness and readiness: `GET /-/healthy` (the process serves) and `GET /-/ready` (an upstream answers)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from typing_extensions import TypedDict

from exporter.api.documents import NO_CACHE, json_answer
from exporter.api.operation import Answer, Operation
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.system.snapshot import Snapshot


class UpstreamReadiness(TypedDict):
    """One llama-server."""

    ready: bool | None
    """null while nobody has looked."""
    state: str
    reason: NotRequired[str]
    """Why it is not ready."""


class Readiness(TypedDict):
    """Whether requests can be answered."""

    ready: bool
    """At least one upstream answers."""
    upstreams: dict[str, UpstreamReadiness]


def room(views: Views) -> Room:
    """The two routes."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("llama-exporter is healthy.\n", headers=NO_CACHE)

    async def ready(_: Request) -> Response:
        names = [upstream.name for upstream in views.upstreams]
        document = readiness(names, views.snapshot(), sampled=views.servers_sampled)
        return json_answer(document, 200 if document["ready"] else 503)

    alive = {200: Answer("The process serves", str, media="text/plain")}
    readable = {200: Answer("Ready", Readiness), 503: Answer("Not ready", Readiness)}
    return Room(
        name="Health",
        about="Whether the sidecar itself lives, and whether it can be of use.",
        operations=(
            Operation("GET", "/-/healthy", healthy, "get_healthy", "Liveness", alive, open=True),
            Operation("GET", "/-/ready", ready, "get_ready", "Readiness: at least one upstream answers", readable),
        ),
    )


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
