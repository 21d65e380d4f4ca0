"""The description of all rooms: `GET /openapi.json` for programs, `GET /api/docs` for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import encode
from exporter.api.files import File
from exporter.api.openapi.document import describe
from exporter.api.openapi.page import HTML, PATH, make_page, parts
from exporter.api.operation import JSON, Answer, Operation
from exporter.api.room import Room

SPEC_PATH = "/openapi.json"
SPEC_DETAILS = (
    "It stays the same while the sidecar runs: with `If-None-Match` and its `ETag`, the answer is 304 and has no body."
)
PAGE_DETAILS = "Swagger UI. It needs no key itself, holds no figures, and asks for the key where one is required."


def room(rooms: Sequence[Room], version: str, keys: bool) -> Room:
    """The room that describes `rooms` and itself. `keys`: keys are configured; all but the page requires one."""
    made: list[File] = []

    async def spec(request: Request) -> Response:
        return await made[0].answer(request)

    answers = _answers("An OpenAPI 3.1 document", JSON, dict)
    own = Room(
        name="Description",
        about="This description: [/openapi.json](/openapi.json), and the page that shows it.",
        operations=(
            Operation("GET", SPEC_PATH, spec, "get_openapi", "This API in OpenAPI 3.1", answers, SPEC_DETAILS),
            *_page(version, keys),
        ),
    )
    made.append(File.of(JSON, encode(describe([*rooms, own], version, keys=keys))))
    return own


def _page(version: str, keys: bool) -> Iterator[Operation]:
    """Open, since browsers cannot send a key for a page; no figure is in it."""
    shown = make_page(version, keys=keys)
    answers = _answers("A page", HTML)
    yield Operation("GET", PATH, shown.answer, "get_docs", "This API in a browser", answers, PAGE_DETAILS, open=True)
    for name, file in parts().items():
        operation = "get_docs_" + name.replace(".", "_").replace("-", "_")
        answers = _answers("The file", file.media)
        about = "A part of that page"
        yield Operation("GET", f"{PATH}/{name}", file.answer, operation, about, answers, open=True, described=False)


def _answers(about: str, media: str, shape: type = str) -> dict[int, Answer]:
    tag = {"ETag": "Which version it is"}
    return {
        200: Answer(about, shape, media, tag),
        304: Answer("`If-None-Match` names the current version", media=None, headers=tag),
    }
