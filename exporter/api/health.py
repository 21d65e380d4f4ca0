"""Our own liveness and readiness: `GET /-/healthy` (the process serves) and `GET /-/ready` (an upstream answers)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.api.views import Views
from exporter.system.snapshot import Snapshot

NO_CACHE = {"cache-control": "no-cache"}


def routes(views: Views) -> list[Route]:
    """The two routes."""

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("llama-exporter is healthy.\n", headers=NO_CACHE)

    async def ready(_: Request) -> Response:
        document = readiness(views.upstreams, views.snapshot(), sampled=views.servers_sampled)
        return JSONResponse(document, 200 if document["ready"] else 503, headers=NO_CACHE)

    return [Route("/-/healthy", healthy), Route("/-/ready", ready)]


def readiness(upstreams: tuple[str, ...], snapshot: Snapshot, *, sampled: bool) -> dict[str, Any]:
    """`{"ready": bool, "upstreams": {name: {"ready": bool | null, "state": str, "reason"?: str}}}`.

    Ready means that at least one upstream answers. `ready` of an upstream is null while nobody has looked.
    """
    entries: dict[str, dict[str, Any]] = {}
    for name in upstreams:
        server = snapshot.servers.get(name)
        if server is None:
            entries[name] = {"ready": None, "state": "not looked at yet" if sampled else "not looked at"}
            continue
        entries[name] = {"ready": server.up, "state": str(server.state)}
        if server.error is not None:
            entries[name]["reason"] = server.error
    return {"ready": not sampled or any(entry["ready"] for entry in entries.values()), "upstreams": entries}
