"""The operations that the page polls: what is happening, the models, and finished requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import NO_CACHE, json_answer
from exporter.api.monitoring import examples
from exporter.api.monitoring.documents import Failure, FinishedRequests, ModelList, Now
from exporter.api.monitoring.errors import refuse
from exporter.api.monitoring.figures import summarize
from exporter.api.monitoring.models import model_list, orders
from exporter.api.monitoring.now import Facts, Proxy, now
from exporter.api.monitoring.requests import PARAMETERS, read_filter, read_limit, write_requests
from exporter.api.operation import JSON, Answer, Operation
from exporter.api.past import RETRY_ABOUT, guard
from exporter.api.views import Views
from exporter.models.models import Models
from exporter.store.figures import SEARCHED, Past

NOW = "/monitoring/now"
MODELS = "/monitoring/models"
REQUESTS = "/monitoring/requests"


def operations(
    views: Views,
    models: Models,
    *,
    keys: bool,
    proxy: Proxy,
    streams: bool,
    sample_seconds: Callable[[], float],
) -> tuple[Operation, ...]:
    """All three; what is given by name is told as it is (`now.Facts`)."""
    facts = Facts(keys, proxy, streams, sample_seconds)
    return now_of(views, facts), models_of(views, models), requests_of(views)


def now_of(views: Views, facts: Facts) -> Operation:
    """What is happening."""

    async def read(_: Request) -> Response:
        return json_answer(now(views, facts, await summarize(views)))

    return Operation(
        *("GET", NOW, read, "get_monitoring_page_now", "What is happening: requests, llama-servers, tiers"),
        {200: Answer("It", Now, example=examples.NOW)},
        "Of the last 30 to 31 minutes, as the sidecar has seen them, and of each llama-server as it was sampled last. "
        "Seconds, tokens per second; what is not known is null.",
    )


def models_of(views: Views, models: Models) -> Operation:
    """The models."""

    async def read(_: Request) -> Response:
        found, snapshot = models.all(), views.snapshot()
        asked = orders(found, snapshot, models.home, restored=models.is_restored)
        return json_answer(model_list(found, snapshot, views.wall(), asked))

    return Operation(
        *("GET", MODELS, read, "get_monitoring_page_models", "All models: what is loaded, or about to be, first"),
        {200: Answer("At most 500 of them", ModelList, example=examples.MODELS)},
        "Registered models, and those that llama-servers have beside them. `can_load` and `can_unload` say what the "
        "load and unload of the model manager would not refuse in any case.",
    )


def requests_of(views: Views) -> Operation:
    """Finished requests of this sidecar."""

    async def read(request: Request, past: Past) -> Response:
        which, limit = read_filter(request.query_params, views.instance), read_limit(request.query_params)
        written = await past.newest(which, limit, partial(write_requests, views.wall()))
        return Response(written, headers=NO_CACHE, media_type=JSON)

    return Operation(
        *("GET", REQUESTS, guard(views.past, refuse, read), "get_monitoring_page_requests", "The newest requests"),
        {
            200: Answer("The newest first", FinishedRequests, example=examples.REQUESTS),
            400: Answer("A parameter cannot be understood; `error` says which", Failure, example=examples.BAD),
            503: Answer(
                *("The store cannot be read now, or there is none (`store.url`)", Failure),
                headers=RETRY_ABOUT,
                example=examples.AWAY,
            ),
        },
        f"Of those that this sidecar has stored; a filter is applied to its own newest {SEARCHED:,}. To follow, "
        "ask with `behind`, the highest `id` so far.",
        parameters=PARAMETERS,
    )
