"""The routes that look at models and register them: list, register, discover, one model, change, remove."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.nextjs import model_examples as examples
from exporter.api.nextjs.asked import INFORMATIVE, WRONG, Changes, DiscoverRequest, Entries, Entry, naming, read
from exporter.api.nextjs.desk import HEADERS, WITH_BODY, Desk, found, refusals
from exporter.api.nextjs.model_documents import (
    Discovery,
    ModelList,
    OneModel,
    Registration,
    Removed,
    Updated,
)
from exporter.api.nextjs.models import discovery, item, model_list, one_model, registration
from exporter.api.operation import Answer, Operation
from exporter.models.model import InvalidError, Search
from exporter.utc import utc

PATH = "/api/models"
ONE = f"{PATH}/{{name:path}}"
PARTS = {"name": "Name of the model. Slashes in it may stand as they are, or as `%2F`"}


class Management:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, _: Request) -> Response:
        """All models."""
        return found(model_list(self._desk.models.all(), self._desk.wall))

    async def register(self, request: Request) -> Response:
        """Register models: several, or one without a list around it."""
        body = await self._desk.bodies.json(request)
        entries, bare = read_entries(body)
        with naming(lambda name: as_sent(name, bare=bare)):
            models = await self._desk.models.register(entries)
        return found(registration(models, self._desk.wall, bare=bare))

    async def discover(self, request: Request) -> Response:
        """Look for model files."""
        asked = read(DiscoverRequest, await self._desk.bodies.json(request))
        search = Search(paths=tuple(asked.paths or ()), recursive=asked.recursive)
        if asked.include_patterns:
            search = search._replace(include=tuple(asked.include_patterns))
        if asked.exclude_patterns:
            search = search._replace(exclude=tuple(asked.exclude_patterns))
        with naming(lambda name: "paths" if name == "path" else name):
            result = await self._desk.models.discover(search)
        return found(discovery(result, self._desk.wall))

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
            model = await self._desk.models.update(name, _as_registered(changes))
        answer: Updated = {
            "message": "Model updated successfully",
            "success": True,
            "data": item(model),
            "timestamp": utc(self._desk.wall),
        }
        return found(answer)

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


def read_entries(body: Any) -> tuple[list[dict[str, Any]], bool]:
    """The models to register, and whether it is one without a list around it. Raises InvalidError that names all that
    is wrong with any."""
    if not isinstance(body, dict):
        raise InvalidError(WRONG, {"body": "must be an object"})
    if "models" not in body and "name" in body:
        known = {field for field in body if field in Entry.model_fields or field == "options"}
        return [_as_registered(read(Entry, {field: body[field] for field in known}))], True
    if isinstance(body.get("models"), list):
        body = {**body, "models": [without(entry, INFORMATIVE) for entry in body["models"]]}
    return [_as_registered(entry) for entry in read(Entries, body).models], False


def without(body: Any, keys: Container[str]) -> Any:
    """An object without some of its keys; anything else as it is."""
    return {key: value for key, value in body.items() if key not in keys} if isinstance(body, dict) else body


def _as_registered(asked: Entry | Changes) -> dict[str, Any]:
    """As `Models` takes it. A text that is null is one that is not known."""
    said = asked.model_dump(exclude_unset=True)
    if "parameters" in said:
        said["options"] = said.pop("parameters") or {}
    if "description" in said:
        said["description"] = said["description"] or ""
    return said


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
            "All of them, or none. One model can also be sent without `models` around it.",
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
    return (
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
            "What is not named stays. A model that is loaded goes on with what it was loaded with, and is `outdated`.",
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
