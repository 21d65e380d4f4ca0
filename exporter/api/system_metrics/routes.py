"""The room of `/api/metrics`: reading the figures, and changing how often the machine is looked at."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from exporter.api.documents import BodyTooLongError, json_answer, read_body, utc
from exporter.api.operation import Answer, Handler, Operation, Parameter
from exporter.api.room import Room
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

PATH = "/api/metrics"
BODY_LIMIT_BYTES = 64 << 10
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
        return json_answer(in_envelope(document, snapshot.host) if said[0] in YES else document)

    async def change(request: Request) -> Response:
        try:
            set_interval(read_interval(await read_body(request, BODY_LIMIT_BYTES)))
        except BodyTooLongError:
            return refuse(413, f"the body is longer than {BODY_LIMIT_BYTES} bytes")
        except ClientDisconnect:
            return refuse(400, "the client left before the end of the body")
        except ValueError as error:
            return refuse(400, str(error))
        answer: Interval = {"interval": interval(), "timestamp": utc(views.wall())}
        return json_answer(answer)

    return Room(
        name="System metrics",
        about="The machine and the traffic in one small document, as nextjs-llama-async-proxy has it.",
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
        "The machine and the traffic now",
        {
            200: Answer("The figures as they were sampled last", SystemMetrics | EnvelopedMetrics),
            400: Answer("`envelope` says neither yes nor no", Failure),
        },
        parameters=(Parameter("envelope", "Adds `success` and `data`. Unset: as it is configured.", Switch),),
    )


def _changing(handler: Handler) -> Operation:
    return Operation(
        "POST",
        PATH,
        handler,
        "set_sampling_interval",
        "How often the machine and the servers are looked at",
        {
            200: Answer("The interval that is in force from now on", Interval),
            400: Answer("What is wrong with the body", Failure),
            413: Answer("The body is too long", Failure),
        },
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
