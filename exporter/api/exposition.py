"""The room that answers `GET /metrics` to Prometheus.

`app` gives it the function that renders; the room knows only its shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.operation import Answer, Operation
from exporter.api.room import Room

PATH = "/metrics"
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
DETAILS = (
    "`Accept` chooses between Prometheus text and OpenMetrics; gzip where `Accept-Encoding` allows it. "
    "Units are in the names: seconds, bytes, ratios from 0 to 1."
)
EXAMPLE = """\
# HELP llm_upstream_up Whether the last health check found the upstream ready.
# TYPE llm_upstream_up gauge
llm_upstream_up{upstream="Q2",tier="Q2"} 1
"""


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


def room(render: Render) -> Room:
    """The room."""

    async def metrics(request: Request) -> Response:
        rendered = await render(_header(request, "accept"), _header(request, "accept-encoding"))
        response = Response(b"" if request.method == "HEAD" else rendered.body, headers=_headers(rendered))
        response.headers["content-length"] = str(len(rendered.body))
        return response

    text = Answer("Prometheus text 0.0.4", str, media=TEXT, example=EXAMPLE)
    openmetrics = Answer("OpenMetrics 1.0.0, when `Accept` prefers it", str, media=OPENMETRICS)
    return Room(
        name="Prometheus",
        about="Every metric; [docs/metrics.md](docs/metrics.md) lists them.",
        operations=(
            Operation(
                *("GET", PATH, metrics, "get_metrics", "Metrics for Prometheus", {200: (text, openmetrics)}),
                details=DETAILS,
            ),
        ),
    )


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
