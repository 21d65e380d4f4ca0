"""The routes that look at models and register them: list, register, discover, one model, change, remove."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs.asked import INFORMATIVE, WRONG, Changes, DiscoverRequest, Entries, naming, read
from exporter.api.nextjs.configuration.changes import running_on
from exporter.api.nextjs.desk import HEADERS, REFUSED, WITH_BODY, Desk, found, refusals, written
from exporter.api.nextjs.models import examples
from exporter.api.nextjs.models.documents import (
    Discovery,
    ModelList,
    OneModel,
    Registration,
    Removed,
    Updated,
)
from exporter.api.nextjs.models.registrations import as_registered, read_entries, without
from exporter.api.nextjs.models.shape import NOBODY, discovery, item, model_list, one_model, registration
from exporter.api.nextjs.slices import array, splice
from exporter.api.operation import Answer, Operation
from exporter.models.model import InvalidError, Search, UnknownModelError
from exporter.utc import utc

PATH = "/api/models"
ONE = f"{PATH}/{{name:path}}"
PARTS = {"name": "Name of the model. Slashes in it may stand as they are, or as `%2F`"}


class NoAnalysisError(UnknownModelError):
    """Nobody analyzes models."""


class Management:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, _: Request) -> Response:
        """All models."""
        models = self._desk.models.all()
        items = await array(models, item)
        return written(splice(model_list(len(models), self._desk.wall), {"models": items, "data": items}))

    async def register(self, request: Request) -> Response:
        """Register models: several, or one without a list around it."""
        body = await self._desk.bodies.json(request)
        with naming(lambda name: as_sent(name, bare=False)):
            entries, bare = await read_entries(body)
        with naming(lambda name: as_sent(name, bare=bare)):
            models = await self._desk.models.register(entries)
        items = await array(models, item)
        return written(splice(registration(models, self._desk.wall), {"data": items[1:-1] if bare else items}))

    async def discover(self, request: Request) -> Response:
        """Look for model files."""
        asked = read(DiscoverRequest, await self._desk.bodies.json(request))
        search = Search(paths=tuple(asked.paths or ()), recursive=asked.recursive)
        if asked.include_patterns:
            search = search._replace(include=tuple(asked.include_patterns))
        if asked.exclude_patterns:
            search = search._replace(exclude=tuple(asked.exclude_patterns))
        return found(discovery(await self._desk.models.discover(search), self._desk.wall))

    async def show(self, request: Request) -> Response:
        """One model."""
        return found(one_model(self._desk.models.get(request.path_params["name"]), self._desk.wall))

    async def update(self, request: Request) -> Response:
        """Change what is registered of a model."""
        name = request.path_params["name"]
        body = without(await self._desk.bodies.json(request), INFORMATIVE)
        if isinstance(body, dict) and body.get("name", name) != name:
            raise InvalidError(WRONG, {"name": "a model keeps its name: remove it, and register it anew"})
        changes = read(Changes, without(body, {"name"}))
        with naming(lambda name: as_sent(name, bare=True)):
            before = self._desk.models.get(name).registered
            model = await self._desk.models.update(name, as_registered(changes))
        is_changed = (model.registered or NOBODY).options != (before or NOBODY).options
        restart = running_on(self._desk, [model]) if model.outdated or is_changed else []
        answer: Updated = {
            "message": "Model updated successfully",
            "requiresRestart": bool(restart),
            "restart": restart,
            "success": True,
            "data": item(model),
            "timestamp": utc(self._desk.wall),
        }
        return found(answer)

    async def analyze(self, _: Request) -> Response:
        """Real front ends have a button for it, and show the message."""
        raise NoAnalysisError("there is no such analysis here: llama-server fits a model into memory when it loads it")

    async def remove(self, request: Request) -> Response:
        """Take a model out of the registry."""
        removed = await self._desk.models.remove(request.path_params["name"])
        answer: Removed = {
            "message": "Model removed successfully",
            "modelId": removed.name,
            "success": True,
            "timestamp": utc(self._desk.wall),
        }
        return found(answer)


def as_sent(name: str, *, bare: bool) -> str:
    """The name of a field as the client has sent it."""
    parts = (name.removeprefix("models.0.") if bare else name).split(".")
    return ".".join("parameters" if part == "options" else part for part in parts)


def operations(desk: Desk) -> tuple[Operation, ...]:
    """With what the description says of them."""
    routes, guard = Management(desk), desk.guard
    return (
        Operation(
            *("GET", PATH, guard(routes.list), "get_models", "All models, and what they are doing"),
            {200: Answer("The models", ModelList, headers=HEADERS, example=examples.LIST), **refusals()},
            "Registered ones, and those that llama-servers have beside them. `data` is what real front ends read.",
        ),
        Operation(
            *("POST", PATH, guard(routes.register), "register_models", "Register models"),
            {
                200: Answer("They are registered", Registration, headers=HEADERS, example=examples.REGISTRATION),
                **refusals(*WITH_BODY, 403, 409, 500),
            },
            "All of them, or none; at most 1,000. One model can also be sent without `models` around it.",
            body=Entries,
        ),
        Operation(
            *("POST", f"{PATH}/discover", guard(routes.discover), "discover_models", "Look for model files"),
            {
                200: Answer("What was found", Discovery, headers=HEADERS, example=examples.DISCOVERY),
                **refusals(*WITH_BODY, 403, 500),
            },
            "The headers of GGUF files are read. Nothing outside the configured folders (`models.dir`) is looked at, "
            "also by symbolic links. One search at a time: 503 meanwhile.",
            body=DiscoverRequest,
            body_required=False,
        ),
    )


def operations_on_one(desk: Desk) -> tuple[Operation, ...]:
    """Those on one model: behind all others below `/api/models/`, since names may hold slashes."""
    routes, guard = Management(desk), desk.guard
    none: dict[int, Answer | tuple[Answer, ...]] = {404: REFUSED[404]}
    path, analyze = f"{ONE}/analyze", guard(routes.analyze)
    return (
        Operation("GET", path, analyze, "get_analysis", "There is none", none, described=False),
        Operation("POST", path, analyze, "analyze_model", "There is none", none, described=False),
        Operation(
            *("GET", ONE, guard(routes.show), "get_model", "One model"),
            {200: Answer("The model", OneModel, headers=HEADERS, example=examples.ONE), **refusals(404)},
            "As in the list.",
            parts=PARTS,
        ),
        Operation(
            *("PUT", ONE, guard(routes.update), "update_model", "Change what is registered of a model"),
            {
                200: Answer("It is changed", Updated, headers=HEADERS, example=examples.UPDATED),
                **refusals(*WITH_BODY, 403, 404, 409, 500),
            },
            "What is not named stays. A model that is loaded goes on with what it was loaded with: then it is "
            "`outdated`, or no llama-server takes parameters, and `restart` says what to do.",
            parts=PARTS,
            body=Changes,
        ),
        Operation(
            *("DELETE", ONE, guard(routes.remove), "remove_model", "Take a model out of the registry"),
            {
                200: Answer("It is removed", Removed, headers=HEADERS, example=examples.REMOVED),
                **refusals(404, 409, 500, 503),
            },
            "Its file stays. 409 while it is loaded.",
            parts=PARTS,
        ),
    )
