"""Rooms that use everything that a room can declare, for the tests of their description."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, with_config
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from typing_extensions import TypedDict

from exporter.api import health, index
from exporter.api.operation import EVENT_STREAM, Answer, Operation, Parameter
from exporter.api.room import Room
from tests.api.views import make_views


class Inner(TypedDict):
    """A part."""

    size: int


@with_config(use_attribute_docstrings=True)
class Outer(TypedDict):
    """A document."""

    parts: list[Inner]
    """What it has."""
    note: NotRequired[str]


class Readiness(TypedDict):
    """Another room has a type of this name."""

    yes: bool


class Refusal(TypedDict):
    """An error as this room has it."""

    why: str


class Order(BaseModel):
    """What can be asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    interval: Annotated[float, Field(ge=0.5, le=3600)]


async def answer(_: Request) -> Response:
    return PlainTextResponse("never asked")


async def accept(_: Any) -> None:
    """No test opens it."""


def refuse(status: int, message: str) -> Response:
    return Response(f"why: {message} ({status})\n", status, media_type="application/yaml")


OWN = Room(
    name="Own",
    about="Has everything.",
    operations=(
        Operation(
            "GET",
            "/own",
            answer,
            "get_own",
            "A document",
            {
                200: (Answer("As JSON", Outer, headers={"X-Size": "How much"}), Answer("As text", str, "text/plain")),
                204: Answer("Nothing", media=None),
            },
            details="In *two* forms.",
            parameters=(
                Parameter("limit", "At most", Annotated[int, Field(ge=1)], default=20),
                Parameter("state", "Only these", Literal["idle", "busy"]),
            ),
        ),
        Operation(
            "POST",
            "/own",
            answer,
            "set_own",
            "Change it",
            {200: Answer("Done", Outer), 400: Answer("Bad", Refusal)},
            body=Order,
        ),
        Operation(
            "GET",
            "/own/stream",
            answer,
            "get_own_stream",
            "Follow it",
            {200: Answer("Documents", Outer, EVENT_STREAM), 500: Answer("Its own failure", str, "text/plain")},
        ),
        Operation(
            "PUT",
            "/own/{name:path}/part/{number}",
            answer,
            "put_own_part",
            "Change a part",
            {200: Answer("Done", Outer)},
            parts={"name": "Whose", "number": "Which"},
            parameters=(Parameter("limit", "At most", Annotated[int, Field(ge=1)]),),
            body=Order,
            body_required=False,
        ),
        Operation("GET", "/own/ready", answer, "get_own_ready", "Ready?", {200: Answer("Yes or no", Readiness)}),
    ),
    places=("/own",),
    refuse=refuse,
    error_shape=Refusal,
    sockets=(WebSocketRoute("/own/ws", accept),),
)


def rooms() -> list[Room]:
    """Three, one of them without types of its own."""
    return [health.room(make_views()), OWN, index.room("1.2.3")]
