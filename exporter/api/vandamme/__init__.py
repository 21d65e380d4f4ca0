"""The metrics endpoints of Vandamme Proxy: requests in flight (a snapshot and a stream), and the running totals as
YAML. Its page is docs/api-vandamme.md.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Literal

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import NO_CACHE, json_answer
from exporter.api.operation import EVENT_STREAM, Answer, Handler, Operation, Parameter
from exporter.api.room import Room
from exporter.api.vandamme import examples, report, snapshot, stream, totals
from exporter.api.vandamme.documents import (
    ActiveRequests,
    ActiveRequestsDisabled,
    BadParameters,
    Disabled,
    Failure,
    RunningTotals,
    RunningTotalsDisabled,
    RunningTotalsFailure,
    Update,
)
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.rows import Filter, gather
from exporter.api.vandamme.stream import Reading, Updates, frame
from exporter.api.views import Views

log = logging.getLogger(__name__)

PREFIX = "/metrics/"
ACTIVE = f"{PREFIX}active-requests"
STREAM = f"{ACTIVE}/stream"
TOTALS = f"{PREFIX}running-totals"
YAML = "text/yaml"
DETAILS = {
    401: "Invalid API key. Send one of auth.api_keys as x-api-key: KEY or Authorization: Bearer KEY.",
    404: "Not Found",
    405: "Method Not Allowed",
}
"""What clients of the original know."""
FULL = "Too many readers (live.max_readers), or the sidecar is stopping."
SNAPSHOT = (
    "One row per request, newest first. `duration_ms` is milliseconds, `start_time` seconds since the epoch (UTC)."
)
EVENTS = (
    "An event `update` at once, then on every change, at most one per `live.active_requests_interval_seconds` (0.5). "
    "**This page cannot show streams**: use `curl -N http://127.0.0.1:9464/metrics/active-requests/stream`."
)
SUMS = (
    "As YAML, since the start or, where there is a store, since it was begun. Durations are milliseconds, times UTC. "
    "Requests in flight count in `requests` only."
)
SWITCH: TypeAdapter[bool] = TypeAdapter(bool)
Switch = Literal["true", "false", "1", "0", "yes", "no", "on", "off", "y", "n", "t", "f"]


def refuse(status: int, message: str) -> Response:
    """The form of errors."""
    failure: Failure = {"detail": DETAILS.get(status, message)}
    return json_answer(failure, status)


def room(views: Views, *, enabled: bool, interval_seconds: float, heartbeat_seconds: float, max_readers: int) -> Room:
    """The three operations. `enabled` says whether there is a stream; an update is sent at most every
    `interval_seconds`, a comment after `heartbeat_seconds` of silence, to at most `max_readers`."""
    names = Names(upstream.provider for upstream in views.upstreams)
    updates = Updates(
        views,
        names,
        interval_seconds=interval_seconds,
        heartbeat_seconds=heartbeat_seconds,
        max_readers=max_readers,
    )

    async def read_active(_: Request) -> Response:
        if not views.recording:
            return json_answer(snapshot.disabled())
        return json_answer(snapshot.snapshot(snapshot.active_requests(views.active, names, views.clock())))

    async def read_stream(_: Request) -> Response:
        if not views.recording:
            return Response(frame("disabled", stream.disabled()), headers=stream.HEADERS, media_type=EVENT_STREAM)
        if not enabled:
            return json_answer(stream.switched_off(), 503)
        return refuse(503, FULL) if updates.readers.is_full else Reading(updates)

    async def read_totals(request: Request) -> Response:
        try:
            include_active = SWITCH.validate_python(request.query_params.get("include_active", "true"))
        except ValidationError as error:
            return json_answer(bad_parameter(error), 422)
        chosen = Filter(request.query_params.get("provider", ""), request.query_params.get("model", ""))
        try:
            return answer_totals(views, names, chosen, include_active=include_active)
        except Exception as error:
            log.exception("the running totals could not be made")
            return yaml_answer(report.write_failure(totals.failure(error), views.wall()), 500)

    return Room(
        name="Vandamme",
        about="Requests in flight, and running totals, compatible with Vandamme Proxy and its dashboard "
        "([docs/api-vandamme.md](docs/api-vandamme.md)). Only inference requests are counted.",
        operations=operations(read_active, read_stream, read_totals),
        places=(PREFIX,),
        refuse=refuse,
        error_shape=Failure,
        work={"active_requests_stream": updates.run},
        close=updates.readers.close,
        readers=lambda: len(updates.readers),
    )


def bad_parameter(error: ValidationError) -> BadParameters:
    """What is wrong with `include_active`, as FastAPI says it."""
    return {
        "detail": [
            {"type": each["type"], "loc": ["query", "include_active"], "msg": each["msg"], "input": each["input"]}
            for each in error.errors(include_url=False)
        ]
    }


def answer_totals(views: Views, names: Names, chosen: Filter, *, include_active: bool) -> Response:
    """The running totals of what is `chosen`."""
    wall = views.wall()
    if not views.recording:
        return yaml_answer(report.write_disabled(totals.disabled(), wall))
    rows = gather(views.totals, views.active, names, views.only_model, include_active=include_active)
    in_flight = sum(1 for _ in views.active.asking())
    response = yaml_answer(report.write_totals(totals.running_totals(rows, chosen, in_flight), chosen, wall))
    moment = datetime.fromtimestamp(wall, UTC).strftime("%Y%m%d-%H%M%S")
    response.headers["content-disposition"] = f"inline; filename=running-totals-{moment}.yaml"
    return response


def yaml_answer(text: str, status: int = 200) -> Response:
    """A YAML document that nobody may cache."""
    return Response(text, status, headers=NO_CACHE, media_type=YAML)


def operations(read_active: Handler, read_stream: Handler, read_totals: Handler) -> tuple[Operation, ...]:
    """The three operations with their texts."""
    rows = Answer("Requests in flight, newest first", ActiveRequests | ActiveRequestsDisabled, example=examples.ACTIVE)
    events = Answer("Events `update`, or one event `disabled`", Update | Disabled, EVENT_STREAM, example=examples.EVENT)
    no_stream = Answer(
        "Too many readers (`live.max_readers`), the sidecar is stopping, or the stream is switched off",
        Disabled | Failure,
        example=examples.NO_STREAM,
    )
    sums = Answer(
        "The report",
        RunningTotals | RunningTotalsDisabled,
        YAML,
        {"Content-Disposition": "A name for the file"},
        examples.TOTALS,
    )
    failed = Answer("The report could not be made", RunningTotalsFailure, YAML)
    unclear = Answer("`include_active` is neither true nor false", BadParameters, example=examples.UNCLEAR)
    return (
        Operation("GET", ACTIVE, read_active, "get_active_requests", "Requests in flight", {200: rows}, SNAPSHOT),
        Operation(
            *("GET", STREAM, read_stream, "stream_active_requests", "Requests in flight, as a stream of events"),
            {200: events, 503: no_stream},
            EVENTS,
        ),
        Operation(
            *("GET", TOTALS, read_totals, "get_running_totals", "Totals by provider and model"),
            {200: sums, 422: unclear, 500: failed},
            SUMS,
            parameters=(
                Parameter("provider", "Providers to show: `*` any characters, `?` one, case is ignored."),
                Parameter("model", "Models to show: `*` any characters, `?` one, case is ignored."),
                Parameter("include_active", "Whether requests in flight count.", Switch, "true"),
            ),
        ),
    )
