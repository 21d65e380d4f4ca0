"""The metrics API of LLM Metrics Proxy: figures over finished requests, the requests themselves, and whether they can
be read. All of it comes from the store. Its page is docs/api-completions.md.
"""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.completions import examples
from exporter.api.completions.documents import CompletionRequest, Failure, Healthy, Unhealthy
from exporter.api.completions.documents import Metrics as MetricsDocument
from exporter.api.completions.errors import refuse
from exporter.api.completions.listing import Heading, Listing, read_pages
from exporter.api.completions.metrics import metrics as shape_metrics
from exporter.api.completions.queries import PAGE, PERIOD, read_page_query, read_period
from exporter.api.documents import json_answer
from exporter.api.operation import Answer, Operation
from exporter.api.past import NO_STORE, RETRY, RETRY_ABOUT, STORE_AWAY, guard
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.errors import StoreError
from exporter.store.figures import Past
from exporter.utc import utc

METRICS = "/metrics"
REQUESTS = "/completion_requests"
HEALTH = "/health"
MICROSECONDS = 1_000_000

log = logging.getLogger(__name__)

BAD = Answer("A parameter cannot be understood; `detail` says which", Failure, example=examples.BAD)
AWAY = Answer(
    "The store cannot be read now, or there is none (`store.url`)", Failure, headers=RETRY_ABOUT, example=examples.AWAY
)


def room(views: Views, *, shared: bool = False) -> Room:
    """All three operations, for a listener of their own. With `shared`, for a listener on which `/metrics` and
    `/health` belong to other rooms: the list of requests alone."""
    listed = list_of(views)
    return Room(
        name="Completions",
        about="Figures over finished requests, and the requests themselves, as long as the store keeps them; "
        "compatible with LLM Metrics Proxy and its front end ([docs/api-completions.md](docs/api-completions.md)).",
        operations=(listed,) if shared else (metrics_of(views), listed, health_of(views)),
        places=(REQUESTS,) if shared else ("/",),
        refuse=refuse,
        error_shape=Failure,
    )


def metrics_of(views: Views) -> Operation:
    """The figures. The room of `/metrics` can answer them beside its own."""

    async def read(request: Request, past: Past) -> Response:
        period = read_period(request.query_params)
        wall = views.wall()
        figures = await past.figures(period, round(wall * MICROSECONDS))
        return json_answer(shape_metrics(figures, wall))

    figures = Answer("Figures over a period, all time by default", MetricsDocument, example=examples.METRICS)
    return Operation(
        *("GET", METRICS, guard(views.past, refuse, read), "get_completion_metrics", "Figures over finished requests"),
        {200: figures, 400: BAD, 503: AWAY},
        "Of the requests that finished from `start` to `end`, both included. Milliseconds and tokens.",
        parameters=PERIOD,
    )


def list_of(views: Views) -> Operation:
    """The requests themselves."""

    async def read(request: Request, past: Past) -> Response:
        query = read_page_query(request.query_params)
        if request.method == "HEAD":
            return Heading()
        pages = read_pages(past, query)
        return Listing(await anext(pages, b""), pages)

    rows = Answer("Requests, the newest first", list[CompletionRequest], example=examples.ROWS)
    return Operation(
        *(
            "GET",
            REQUESTS,
            guard(views.past, refuse, read),
            "get_completion_requests",
            "Finished requests, the newest first",
        ),
        {200: rows, 400: BAD, 503: AWAY},
        "All of them by default. To page: `limit`, and `before` with the `timestamp` of the last row so far. A page is "
        "longer than `limit` where more requests finished in the same microsecond as its last one.",
        parameters=PAGE,
    )


def health_of(views: Views) -> Operation:
    """Whether the store answers."""

    async def read(_: Request) -> Response:
        try:
            if views.past is None:
                return json_answer(unhealthy(views.wall(), NO_STORE), 503)
            await views.past.check()
        except StoreError as error:
            log.warning("the store cannot be read", extra={"reason": str(error)})
            return json_answer(unhealthy(views.wall(), STORE_AWAY), 503, RETRY)
        healthy: Healthy = {"status": "healthy", "timestamp": utc(views.wall())}
        return json_answer(healthy)

    return Operation(
        *("GET", HEALTH, read, "get_completion_health", "Whether the history can be read"),
        {
            200: Answer("It can", Healthy, example=examples.HEALTHY),
            503: Answer("It cannot; `detail` says why", Unhealthy, headers=RETRY_ABOUT, example=examples.UNHEALTHY),
        },
        "Of the store alone; whether llama-server answers is not asked.",
    )


def unhealthy(wall: float, reason: str) -> Unhealthy:
    """The document of a store that cannot be read."""
    return {"status": "unhealthy", "timestamp": utc(wall), "detail": reason}
