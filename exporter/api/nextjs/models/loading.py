"""The routes that load and unload models: the documented ones, which answer as soon as it is under way, and those of
real front ends, `start` and `stop`, which answer when it is done."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs.answers import Refusal
from exporter.api.nextjs.asked import LoadRequest, UnloadRequest, naming, read
from exporter.api.nextjs.desk import HEADERS, WITH_BODY, Desk, found, refusals
from exporter.api.nextjs.models import examples
from exporter.api.nextjs.models.documents import Loading, Started, Unloading
from exporter.api.nextjs.models.routes import ONE, PARTS
from exporter.api.nextjs.models.shape import loading, started, stopped, unloading
from exporter.api.operation import Answer, Operation
from exporter.models.model import LOADED, ConflictError, Model, ModelsError, Status

STOP_SECONDS = 15.0
"""Longest wait for a model to be gone: llama-server gives it 10 s."""
SLICE_SECONDS = 0.5
"""A wait looks so often whether the sidecar is to stop."""
UNSETTLED = frozenset((Status.LOADING, Status.UNLOADING))


class Starting:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._closing = False

    def close(self) -> None:
        """The sidecar is to stop: whoever waits is answered."""
        self._closing = True

    async def load(self, request: Request) -> Response:
        """Begin to load a model."""
        asked = read(LoadRequest, await self._desk.bodies.json(request))
        before = self._desk.models.get(request.path_params["name"])
        model = await self._load(before.name, asked)
        return found(loading(before, model, self._desk.wall), 202)

    async def unload(self, request: Request) -> Response:
        """Begin to unload a model."""
        asked = read(UnloadRequest, await self._desk.bodies.json(request))
        model = await self._desk.models.unload(request.path_params["name"], force=asked.force)
        return found(unloading(model, self._desk.wall), 202)

    async def start(self, request: Request) -> Response:
        """Load a model, and answer when it is loaded. What the body says beyond `config` is left aside: front ends
        send templates, which come with the model here."""
        name = request.path_params["name"]
        config = (await self._desk.bodies.leniently(request)).get("config")
        asked = read(LoadRequest, {"config": config})
        try:
            await self._load(name, asked)
            model = await self._settled(name, self._desk.runtime.current.load_wait_ms / 1000)
        finally:
            self._note(name)
        return self._started(model)

    async def stop(self, request: Request) -> Response:
        """Unload a model, and answer when it is gone. One that is not loaded is stopped already."""
        name = request.path_params["name"]
        force = (await self._desk.bodies.leniently(request)).get("force") is True
        try:
            model = self._desk.models.get(name)
            if model.status not in (Status.STOPPED, Status.ERROR):
                await self._desk.models.unload(name, force=force)
                model = await self._settled(name, STOP_SECONDS)
        finally:
            self._note(name)
        return found(stopped(model, self._desk.wall), 202 if model.status in LOADED else 200)

    async def _load(self, name: str, asked: LoadRequest) -> Model:
        with naming(lambda field: f"config.{field}"):
            return await self._desk.models.load(name, asked.config or {})

    async def _settled(self, name: str, seconds: float) -> Model:
        """The model when it neither loads nor unloads, or as it is when there is no more time."""
        model, clock = self._desk.models.get(name), self._desk.views.clock
        deadline = clock() + seconds
        while model.status in UNSETTLED and not self._closing and (left := deadline - clock()) > 0:
            model = await self._desk.models.settled(name, min(left, SLICE_SECONDS))
        return model

    def _started(self, model: Model) -> Response:
        if model.status is Status.ERROR:
            reason = model.error or "llama-server does not say why"
            return Refusal(500, f"{model.name} could not be loaded: {reason}", wall=self._desk.views.wall)
        if model.status in (Status.STOPPED, Status.UNLOADING):
            raise ConflictError(f"{model.name} was unloaded while it was being loaded")
        return found(started(model, self._desk.wall), 202 if model.status is Status.LOADING else 200)

    def _note(self, name: str) -> None:
        """Front ends say it once more over Socket.IO, right after the answer; of a model that there is not, nothing
        needs to be known."""
        try:
            self._desk.recent.note(self._desk.models.get(name).name)
        except ModelsError:
            return


def operations(desk: Desk, routes: Starting) -> tuple[Operation, ...]:
    """With what the description says of them."""
    guard = desk.guard
    return (
        Operation(
            *("POST", f"{ONE}/load", guard(routes.load), "load_model", "Begin to load a model"),
            {
                202: Answer("It is under way, or done already", Loading, headers=HEADERS, example=examples.LOADING),
                **refusals(*WITH_BODY, 404, 409, 500),
            },
            "With `config`, parameters that it keeps; null: no value of its own any more. A model that runs with "
            "others is unloaded before. 409 while another one is loading.",
            parts=PARTS,
            body=LoadRequest,
            body_required=False,
        ),
        Operation(
            *("POST", f"{ONE}/unload", guard(routes.unload), "unload_model", "Begin to unload a model"),
            {
                202: Answer("It is under way", Unloading, headers=HEADERS, example=examples.UNLOADING),
                **refusals(*WITH_BODY, 404, 409, 500),
            },
            "409 while it answers requests that came through the sidecar, unless `force` is true.",
            parts=PARTS,
            body=UnloadRequest,
            body_required=False,
        ),
        _alias("start", guard(routes.start), "Load a model, and wait for it", STARTED, examples.STARTED),
        _alias("stop", guard(routes.stop), "Unload a model, and wait for it", STOPPED, examples.STOPPED),
    )


STARTED = (
    "For front ends: answers when the model is loaded, or, with 202, after `llama_server.timeout` of the "
    'configuration. Errors hold a text in `error`. A body can be absent, or JSON with `{"config": {...}}`.'
)
STOPPED = (
    "For front ends: answers when the model is gone. Errors hold a text in `error`. A body can be absent, or "
    '`{"force": true}`.'
)


def _alias(word: str, handler: Any, about: str, details: str, example: Any) -> Operation:
    return Operation(
        *("POST", f"{ONE}/{word}", handler, f"{word}_model", about),
        {
            200: Answer("It is done", Started, headers=HEADERS, example=example),
            202: Answer("It is under way", Started, headers=HEADERS),
            **refusals(*WITH_BODY, 404, 409, 500),
        },
        details,
        parts=PARTS,
    )
