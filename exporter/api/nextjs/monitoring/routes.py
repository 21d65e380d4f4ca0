"""The routes that look at the machine, now and in the past, and at how everything is."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs.desk import HEADERS, REFUSED, Desk, found, refusals, written
from exporter.api.nextjs.monitoring import examples, history
from exporter.api.nextjs.monitoring.documents import History, Latest, Monitoring, Resolution
from exporter.api.nextjs.monitoring.health import StoreChecks, health, status
from exporter.api.nextjs.monitoring.health_documents import Health, Status
from exporter.api.nextjs.monitoring.history import MICROSECONDS, RESOLUTIONS, read_span
from exporter.api.nextjs.monitoring.machine import monitoring, written_latest
from exporter.api.operation import Answer, Operation, Parameter
from exporter.errors import StoreError
from exporter.models.model import UnavailableError
from exporter.system.snapshot import HostSnapshot, Snapshot

PATH = "/api/monitoring"
NOT_YET = "the machine has not been looked at yet, or is not (sampling.host)"
NO_STORE = "history is off: store.url is none"
STORE_AWAY = "the store cannot be read now; the log of the sidecar says why"
HOURS = "Hours back from now: 1 to 168."

log = logging.getLogger(__name__)


class Monitor:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = StoreChecks(desk.views)

    async def now(self, _: Request) -> Response:
        """The machine, the models and the requests."""
        snapshot, host = self._sampled()
        return found(monitoring(self._desk.views, snapshot, host, self._desk.models.all()))

    async def latest(self, _: Request) -> Response:
        """The machine and each model, for front ends."""
        snapshot, host = self._sampled()
        return written(await written_latest(self._desk.views, snapshot, host, self._desk.models.all()))

    async def history(self, request: Request) -> Response:
        """The machine in the past."""
        views = self._desk.views
        span = read_span(request.query_params, views.wall())
        if views.past is None:
            raise UnavailableError(NO_STORE)
        start, end = (round(wall * MICROSECONDS) for wall in (span.start, span.end))
        try:
            points = await views.past.machine(start, end, span.step_seconds, views.instance)
        except StoreError as error:
            log.warning("the store cannot be read", extra={"reason": str(error)})
            raise UnavailableError(STORE_AWAY) from None
        return written(await history.written(span, points, history.present(views)))

    async def health(self, _: Request) -> Response:
        """Whether everything works."""
        desk = self._desk
        store = await self._store.ask()
        document = health(desk.views, desk.facts, desk.views.snapshot(), managed=desk.server(), store=store)
        return found(document, 200 if document["status"] == "healthy" else 503)

    async def status(self, _: Request) -> Response:
        """The sidecar, its models and requests."""
        desk = self._desk
        return found(status(desk.views, desk.facts, desk.models.all(), desk.connected()))

    def _sampled(self) -> tuple[Snapshot, HostSnapshot]:
        snapshot = self._desk.views.snapshot()
        if snapshot.host is None:
            raise UnavailableError(NOT_YET)
        return snapshot, snapshot.host


def operations(desk: Desk) -> tuple[Operation, ...]:
    """With what the description says of them."""
    routes, guard = Monitor(desk), desk.guard
    return (
        Operation(
            *("GET", PATH, guard(routes.now), "get_monitoring", "Machine, models and requests now"),
            {200: Answer("They", Monitoring, headers=HEADERS, example=examples.MONITORING), **refusals(503)},
            "As sampled last. Memory is in MB, disks are in bytes, percentages 0 to 100. 503 before the first sample.",
        ),
        Operation(
            *("GET", f"{PATH}/latest", guard(routes.latest), "get_monitoring_latest", "The same, for one front end"),
            {200: Answer("They", Latest, headers=HEADERS, example=examples.LATEST), **refusals(503)},
            "In its units: memory and disks in GB, network in bytes. 503 before the first sample.",
        ),
        Operation(
            *("GET", f"{PATH}/history", guard(routes.history), "get_monitoring_history", "The machine in the past"),
            {
                200: Answer("Steps, oldest first", History, headers=HEADERS, example=examples.HISTORY),
                **refusals(400, 503),
            },
            "Steps of which nothing is known are left out. `data` is what one front end draws: the newest 59 steps and "
            "the present. 503 without a store.",
            parameters=(
                Parameter("hours", HOURS, examples.Hours, 24),
                Parameter("resolution", f"Length of a step: {', '.join(RESOLUTIONS)}.", Resolution, "5m"),
            ),
        ),
        Operation(
            *("GET", "/api/health", guard(routes.health), "get_services_health", "Whether everything works"),
            {
                200: Answer("It does", Health, headers=HEADERS, example=examples.HEALTH),
                429: REFUSED[429],
                503: Answer("It does not; `error` says why", Health, headers=HEADERS, example=examples.UNHEALTHY),
            },
            "The sidecar, each llama-server as it was seen last, and the store, which is asked now (for 2 s at most).",
        ),
        Operation(
            *("GET", "/api/status", guard(routes.status), "get_status", "The sidecar, its models and requests"),
            {200: Answer("They", Status, headers=HEADERS, example=examples.STATUS), **refusals()},
            "Counts since the start; times in milliseconds, `error_rate` from 0 to 1.",
        ),
    )
