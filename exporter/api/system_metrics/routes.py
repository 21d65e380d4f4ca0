"""The room of `/api/metrics`: reading the figures, and setting the sampling interval."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import json_answer, read_body
from exporter.api.operation import Answer, Handler, Operation, Parameter
from exporter.api.room import Room
from exporter.api.system_metrics import examples
from exporter.api.system_metrics.documents import (
    EnvelopedMetrics,
    Failure,
    Interval,
    NewInterval,
    Switch,
    SystemMetrics,
)
from exporter.api.system_metrics.figures import in_envelope, system_metrics
from exporter.api.views import Views
from exporter.utc import utc

PATH = "/api/metrics"
BODY_LIMIT_BYTES = 64 << 10
READING = (
    "As sampled last. Percentages are 0 to 100, `avgResponseTime` is in milliseconds, `uptime` in seconds, GPU memory "
    "in bytes, GPU power in watts."
)
CHANGING = (
    "Seconds between two samples of the machine and the llama-servers, 0.5 to 3600. It holds for every reader of this "
    "sidecar, at once, and until the sidecar is restarted (`sampling.interval_seconds` is the value at the start)."
)
NO_NUMBER = "{key} must be a number"
REASONS = {
    "json_invalid": "the body is not JSON: {error}",
    "model_type": 'the body must be an object, {{"interval": SECONDS}}',
    "extra_forbidden": "unknown key {key!r}",
    "missing": "{key} is missing",
    "finite_number": "{key} must be a finite number",
    "greater_than_equal": "{key} must be at least {ge:g} seconds",
    "less_than_equal": "{key} must be at most {le:g} seconds",
}
"""By pydantic's type of error, in words for whoever wrote the body."""
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def room(views: Views, *, interval: Callable[[], float], set_interval: Callable[[float], None], envelope: bool) -> Room:
    """The two operations. `set_interval` raises ValueError for what it does not take; `envelope` is what a request
    gets that does not say."""

    def refuse(status: int, message: str) -> Response:
        failure: Failure = {"error": message, "timestamp": utc(views.wall())}
        return json_answer(failure, status)

    async def read(request: Request) -> Response:
        said = request.query_params.getlist("envelope") or [YES[0] if envelope else NO[0]]
        if len(said) > 1 or said[0] not in YES + NO:
            return refuse(400, f"envelope must be one of {', '.join(YES + NO)}, and given once")
        snapshot = views.snapshot()
        document = system_metrics(views, snapshot)
        return json_answer(in_envelope(document, snapshot) if said[0] in YES else document)

    async def change(request: Request) -> Response:
        try:
            set_interval(read_interval(await read_body(request, BODY_LIMIT_BYTES)))
        except ValueError as error:
            return refuse(400, str(error))
        answer: Interval = {"interval": interval(), "timestamp": utc(views.wall())}
        return json_answer(answer)

    return Room(
        name="System metrics",
        about="Machine and traffic in one small document, compatible with nextjs-llama-async-proxy "
        "([docs/api-system-metrics.md](docs/api-system-metrics.md)).",
        operations=(_reading(read), _changing(change)),
        places=(PATH,),
        refuse=refuse,
        error_shape=Failure,
    )


def _reading(handler: Handler) -> Operation:
    return Operation(
        "GET",
        PATH,
        handler,
        "get_system_metrics",
        "Machine and traffic now",
        {
            200: Answer("The figures", SystemMetrics | EnvelopedMetrics, example=examples.METRICS),
            400: Answer("`envelope` is neither true nor false", Failure, example=examples.BAD_SWITCH),
        },
        READING,
        parameters=(
            Parameter(
                "envelope",
                "Adds `success` and `data`, which front ends of that system expect. "
                "Unset: as `live.system_metrics_envelope` says.",
                Switch,
            ),
        ),
    )


def _changing(handler: Handler) -> Operation:
    return Operation(
        "POST",
        PATH,
        handler,
        "set_sampling_interval",
        "Set the sampling interval",
        {
            200: Answer("The interval that is in force from now on", Interval, example=examples.INTERVAL),
            400: Answer("What is wrong with the body", Failure, example=examples.BAD_INTERVAL),
            408: Answer(
                "The body was not complete in time",
                Failure,
                headers={"Connection": "`close`"},
                example=examples.TOO_LATE,
            ),
            413: Answer("The body is too long", Failure, example=examples.TOO_LONG),
        },
        CHANGING,
        body=NewInterval,
    )


def read_interval(body: bytes) -> float:
    """The seconds that a body asks for. Raises ValueError that names everything that is wrong with it."""
    if not body.strip():
        raise ValueError('the body is empty; it must be {"interval": SECONDS}')
    try:
        return NewInterval.model_validate_json(body).interval
    except ValidationError as error:
        raise ValueError("; ".join(map(_reason, error.errors()))) from None


def _reason(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    return REASONS.get(error["type"], NO_NUMBER).format(key=key, **error.get("ctx", {}))
