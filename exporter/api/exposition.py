"""The room that answers `GET /metrics`: to Prometheus, and with a document of another room to those who want JSON.

`app` gives it the function that renders, and that document's operation; the room knows only their shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from exporter.accept import prefers
from exporter.api.operation import JSON, Answer, Operation
from exporter.api.room import Room

PATH = "/metrics"
TEXT = "text/plain"
OPENMETRICS = "application/openmetrics-text"
DETAILS = (
    "`Accept` chooses between Prometheus text and OpenMetrics; gzip where `Accept-Encoding` allows it. "
    "Units are in the names: seconds, bytes, ratios from 0 to 1."
)
JSON_DETAILS = (
    "Where `Accept` names `application/json` before every text, or one of the parameters is given, it is JSON instead: "
    "figures over finished requests."
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


def room(render: Render, document: Operation | None = None) -> Room:
    """The room. `document` answers in JSON where the client prefers that to every text, or gives one of its parameters,
    which the text has not."""

    async def metrics(request: Request) -> Response:
        if document is not None and wants(document, request):
            response = await document.handler(request)
            response.headers.add_vary_header("Accept")
            return response
        rendered = await render(_header(request, "accept"), _header(request, "accept-encoding"))
        response = Response(b"" if request.method == "HEAD" else rendered.body, headers=_headers(rendered))
        response.headers["content-length"] = str(len(rendered.body))
        return response

    return Room(
        name="Prometheus",
        about="Every metric; [docs/metrics.md](docs/metrics.md) lists them.",
        operations=(
            Operation(
                *("GET", PATH, metrics, "get_metrics", "Metrics for Prometheus", answers(document)),
                details=DETAILS if document is None else f"{DETAILS} {JSON_DETAILS}",
                parameters=() if document is None else document.parameters,
            ),
        ),
    )


def wants(document: Operation, request: Request) -> bool:
    """Whether a request is for the document."""
    named = any(parameter.name in request.query_params for parameter in document.parameters)
    return named or prefers(_header(request, "accept"), JSON, (TEXT, OPENMETRICS))


def answers(document: Operation | None) -> Mapping[int, Answer | tuple[Answer, ...]]:
    """By status: the expositions, and what the document's operation has."""
    text = Answer("Prometheus text 0.0.4", str, media=TEXT, example=EXAMPLE)
    openmetrics = Answer("OpenMetrics 1.0.0, when `Accept` prefers it", str, media=OPENMETRICS)
    if document is None:
        return {200: (text, openmetrics)}
    found = document.answers[200]
    documents = found if isinstance(found, tuple) else (found,)
    return {**document.answers, 200: (text, openmetrics, *documents)}


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
