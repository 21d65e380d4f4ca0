"""The room that answers `GET /metrics` to Prometheus.

`app` mounts its route on the admin listener and gives it the function that renders; the room knows only its shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATH = "/metrics"


class Rendered(Protocol):
    """An exposition, ready to be sent."""

    @property
    def body(self) -> bytes:
        """The bytes, compressed where `content_encoding` says so."""

    @property
    def content_type(self) -> str:
        """With version and charset."""

    @property
    def content_encoding(self) -> str | None:
        """`gzip`, or None for plain."""


Render = Callable[[str | None, str | None], Awaitable[Rendered]]
"""Takes the `Accept` and the `Accept-Encoding` header of a scrape."""


def exposition_route(render: Render, path: str = PATH) -> Route:
    """The route for GET and HEAD; Starlette answers other methods with 405 and `Allow`."""

    async def metrics(request: Request) -> Response:
        rendered = await render(_header(request, "accept"), _header(request, "accept-encoding"))
        response = Response(b"" if request.method == "HEAD" else rendered.body, headers=_headers(rendered))
        response.headers["content-length"] = str(len(rendered.body))
        return response

    return Route(path, metrics, methods=["GET", "HEAD"], name="metrics")


def _header(request: Request, name: str) -> str | None:
    return ", ".join(request.headers.getlist(name)) or None


def _headers(rendered: Rendered) -> dict[str, str]:
    headers = {
        "content-type": rendered.content_type,
        "cache-control": "no-cache",
        "vary": "Accept, Accept-Encoding",
    }
    if rendered.content_encoding:
        headers["content-encoding"] = rendered.content_encoding
    return headers
