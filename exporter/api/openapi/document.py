"""The OpenAPI 3.1 description of what the rooms serve, made of what they declare; `room` in this package serves it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict

from exporter.api.cors import READING
from exporter.api.openapi.schemas import SERIALIZATION, VALIDATION, Schemas, Use
from exporter.api.operation import EVENT_STREAM, JSON, Answer, Operation, Parameter
from exporter.api.room import Room

Json = dict[str, Any]

OPENAPI = "3.1.1"
ABOUT = """\
The admin listener of llama-exporter. Each group is a contract of its own, with its own form of errors.

Every GET answers HEAD as well. "Since the start" means the start of the sidecar. `docs/api.md` explains how the groups
relate, keys, and web pages of other origins.

"Try it out" sends real requests to this sidecar: a POST changes its figures or settings.
"""
KEYS = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
"""Two ways to present the same key."""
PAGE_LINK = re.compile(r"\[[^\]]*\]\((docs/[^)]*)\)")
PATH_PART = re.compile(r"\{(\w+)(?::\w+)?\}")
"""`{name}`, or `{name:path}` where slashes belong to it."""
COMMON = {
    401: "A valid key is required",
    403: "The request comes from a web page of an origin that `admin.cors_origins` does not name",
    405: "The path does not have this method",
    500: "The sidecar failed to answer; its log says why",
}
COMMON_HEADERS = {
    401: {"WWW-Authenticate": "How to authenticate (RFC 9110, 11.6.1)"},
    405: {"Allow": "The methods of the path"},
}


class ErrorFacts(TypedDict):
    """What went wrong."""

    code: int
    """The status."""
    message: str


class ErrorAnswer(TypedDict):
    """The form of errors where a contract has no other."""

    error: ErrorFacts


def describe(rooms: Sequence[Room], version: str, *, keys: bool) -> Json:
    """The description as a JSON document, the same for the same rooms. `keys`: keys are configured."""
    described = [(room, operation) for room in rooms for operation in room.operations if operation.described]
    schemas = Schemas([use for room, operation in described for use in _uses(room, operation)])
    paths: dict[str, Json] = {}
    for room, operation in described:
        methods = paths.setdefault(PATH_PART.sub(r"{\1}", operation.path), {})
        methods[operation.method.lower()] = _operation(room, operation, schemas, keys=keys)
    components: Json = {"schemas": schemas.components}
    document: Json = {
        "openapi": OPENAPI,
        "info": {
            "title": "llama-exporter",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": room.name, "description": _about(room)} for room in rooms],
        "paths": paths,
        "components": components,
    }
    if keys:
        components["securitySchemes"] = KEYS
        document["security"] = [{name: []} for name in KEYS]
    return document


def _about(room: Room) -> str:
    """With the WebSockets, which OpenAPI cannot describe, and without links to files that are not served."""
    about = PAGE_LINK.sub(r"`\1`", room.about)
    sockets = ", ".join(f"`{getattr(route, 'path', '')}`" for route in room.sockets)
    return f"{about}\n\nWebSocket, which OpenAPI cannot describe: {sockets}." if sockets else about


def _uses(room: Room, operation: Operation) -> Iterator[Use]:
    """Every type that an operation speaks of."""
    yield _error_shape(room), SERIALIZATION
    for answers in operation.answers.values():
        for answer in _several(answers):
            if answer.shape is not None:
                yield answer.shape, SERIALIZATION
    for parameter in operation.parameters:
        yield parameter.shape, VALIDATION
    if operation.body is not None:
        yield operation.body, VALIDATION


def _error_shape(room: Room) -> Any:
    return ErrorAnswer if room.error_shape is None else room.error_shape


def _operation(room: Room, operation: Operation, schemas: Schemas, *, keys: bool) -> Json:
    described: Json = {"tags": [room.name], "summary": operation.about, "operationId": operation.name}
    if operation.details:
        described["description"] = operation.details
    parameters = [*_path_parameters(operation), *(_parameter(each, schemas) for each in operation.parameters)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        schema = schemas.of(operation.body, VALIDATION)
        content = {operation.body_media: {"schema": schema}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    answers = {**_common(room, operation, keys=keys), **operation.answers}
    described["responses"] = {str(status): _response(answers[status], schemas) for status in sorted(answers)}
    if keys and operation.open:
        described["security"] = []
    return described


def _path_parameters(operation: Operation) -> Iterator[Json]:
    for name in PATH_PART.findall(operation.path):
        schema = {"type": "string", "minLength": 1}
        about = operation.parts[name]
        yield {"name": name, "in": "path", "description": about, "required": True, "schema": schema}


def _parameter(parameter: Parameter, schemas: Schemas) -> Json:
    schema = schemas.of(parameter.shape, VALIDATION)
    if parameter.default is not None:
        schema = {**schema, "default": parameter.default}
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "required": False,
        "schema": schema,
    }


def _common(room: Room, operation: Operation, *, keys: bool) -> dict[int, Answer]:
    """What the admin listener answers in place of the operation, in the room's form."""
    statuses = set(COMMON)
    if not keys or operation.open:
        statuses.remove(401)
    if operation.method in READING:
        statuses.remove(403)
    return {status: _error(room, status) for status in statuses}


def _error(room: Room, status: int) -> Answer:
    media = room.refuse(status, "").headers["content-type"].partition(";")[0]
    return Answer(COMMON[status], _error_shape(room), media, COMMON_HEADERS.get(status, {}))


def _several(answers: Answer | tuple[Answer, ...]) -> tuple[Answer, ...]:
    return answers if isinstance(answers, tuple) else (answers,)


def _response(answers: Answer | tuple[Answer, ...], schemas: Schemas) -> Json:
    """One status. Several answers differ in their media types."""
    several = _several(answers)
    response: Json = {"description": "; or: ".join(dict.fromkeys(answer.about for answer in several))}
    headers = {name: about for answer in several for name, about in answer.headers.items()}
    if headers:
        response["headers"] = _headers(headers)
    content = {answer.media: _content(answer, schemas) for answer in several if answer.media is not None}
    if content:
        response["content"] = content
    return response


def _headers(headers: Mapping[str, str]) -> Json:
    return {name: {"description": about, "schema": {"type": "string"}} for name, about in headers.items()}


def _content(answer: Answer, schemas: Schemas) -> Json:
    """What is in the body."""
    content: Json = {}
    if answer.media == EVENT_STREAM:
        content["schema"] = _event(None if answer.shape in (None, str) else schemas.of(answer.shape, SERIALIZATION))
    elif answer.shape is not None:
        content["schema"] = schemas.of(answer.shape, SERIALIZATION)
    if answer.example is not None:
        content["example"] = answer.example
    return content


def _event(data: Json | None) -> Json:
    """One server-sent event: OpenAPI 3.1 has no word for what comes again and again, and tools take the schema of a
    stream to be that of each event. Where `data` is given, it is JSON of that form."""
    text: Json = {"type": "string"}
    if data is not None:
        text |= {"contentMediaType": JSON, "contentSchema": data}
    return {
        "type": "object",
        "description": "One server-sent event",
        "properties": {"event": {"type": "string"}, "data": text},
        "required": ["data"],
    }
