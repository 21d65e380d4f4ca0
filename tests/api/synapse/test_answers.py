"""What holds for every answer: the form of errors, request ids, keys, foreign pages, methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import TypeAdapter

from exporter.api.operation import Answer
from exporter.system.availability import Availability
from tests.api.synapse.desk import READS, Desk
from tests.api.synapse.strict import CHECKS, check_error, read

ID = "X-Request-ID"
PAGE = "https://page.example"
PATHS = [*READS.values(), "/api/metrics/ws"]
RECORDS = [f"/api/metrics/record/{kind}" for kind in ("query", "routing", "availability")]


def check_refusal(answer: httpx.Response, status: int, error: str) -> Any:
    document = read(answer.content)
    check_error(document)
    assert (answer.status_code, document["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers[ID]
    return document


def fail() -> Mapping[str, Availability]:
    raise RuntimeError("a secret")


@pytest.mark.parametrize("name", READS)
async def test_documents(name: str) -> None:
    answer = await Desk().ask("GET", READS[name])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-cache"
    CHECKS[name](read(answer.content))


class TestErrors:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/metrics/nope",
            "/api/metrics/system",
            "/api/metrics/record",
            "/api/metrics/record/nope",
            "/api/orchestrator/",
            "/api/orchestrator/nope",
        ],
    )
    async def test_unknown_paths(self, path: str) -> None:
        document = check_refusal(await Desk().ask("GET", path), 404, "NotFound")
        assert path in document["message"]
        assert document["details"] == {}

    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_wrong_methods(self, method: str, path: str) -> None:
        answer = await Desk().ask(method, path)
        check_refusal(answer, 405, "MethodNotAllowed")
        assert answer.headers["allow"] == "GET, HEAD"

    @pytest.mark.parametrize("path", RECORDS)
    async def test_recording_is_posting(self, path: str) -> None:
        answer = await Desk().ask("GET", path)
        check_refusal(answer, 405, "MethodNotAllowed")
        assert answer.headers["allow"] == "POST"

    async def test_failures(self) -> None:
        answer = await Desk(availability=fail).ask("GET", READS["routing"], headers={ID: "mine"})
        document = check_refusal(answer, 500, "InternalServerError")
        assert "secret" not in document["message"]
        assert answer.headers[ID] == "mine"

    async def test_a_websocket_asked_plainly(self) -> None:
        for method in ("GET", "HEAD"):
            answer = await Desk().ask(method, "/api/metrics/ws")
            assert answer.status_code == 426
            assert answer.headers["upgrade"] == "websocket"
            assert answer.headers["connection"] == "Upgrade"
        check_refusal(await Desk().ask("GET", "/api/metrics/ws"), 426, "UpgradeRequired")


class TestRequestIds:
    @pytest.mark.parametrize("path", [*PATHS, "/api/metrics/nope", RECORDS[0]])
    async def test_echoed(self, path: str) -> None:
        answer = await Desk().ask("GET", path, headers={"x-request-id": " req 1/!~"})
        assert answer.headers.get_list(ID) == ["req 1/!~"]

    @pytest.mark.parametrize("asked", [None, "", " ", "x" * 129, "caf\xe9", "a\tb", "a\x7f"])
    async def test_made(self, asked: str | None) -> None:
        headers = {} if asked is None else {ID: asked.encode("latin-1")}
        desk = Desk()
        made = {(await desk.ask("GET", READS["queries"], headers=headers)).headers[ID] for _ in range(2)}  # type: ignore[arg-type]
        assert len(made) == 2
        assert all(str(UUID(each, version=4)) == each for each in made)

    async def test_the_longest(self) -> None:
        answer = await Desk().ask("GET", READS["queries"], headers={ID: "x" * 128})
        assert answer.headers[ID] == "x" * 128

    async def test_on_what_is_refused_for_the_room(self) -> None:
        desk = Desk(keys=("k",), origins=())
        keyless = await desk.ask("GET", READS["queries"], headers={ID: "a"})
        foreign = await desk.ask("POST", RECORDS[0], headers={ID: "b", "origin": PAGE})
        assert (keyless.status_code, keyless.headers[ID]) == (401, "a")
        assert (foreign.status_code, foreign.headers[ID]) == (403, "b")


class TestKeys:
    @pytest.mark.parametrize("path", [*PATHS, *RECORDS, "/api/metrics/nope"])
    async def test_wanted_everywhere(self, path: str) -> None:
        answer = await Desk(keys=("k",)).ask("GET", path)
        check_refusal(answer, 401, "Unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")

    async def test_presented(self) -> None:
        desk = Desk(keys=("k",))
        assert (await desk.ask("GET", READS["tiers"], headers={"x-api-key": "k"})).status_code == 200
        assert (await desk.ask("GET", READS["tiers"], headers={"authorization": "Bearer k"})).status_code == 200


class TestPages:
    async def test_any_page_may_read(self) -> None:
        answer = await Desk().ask("GET", READS["queries"], headers={"origin": PAGE})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert ID in answer.headers["access-control-expose-headers"].split(", ")

    async def test_no_page_may_record_but_those_that_are_named(self) -> None:
        told = {"tier": "Q2", "available": 1, "total": 1}
        refused = await Desk().ask("POST", RECORDS[2], headers={"origin": PAGE}, json=told)
        check_refusal(refused, 403, "Forbidden")
        taken = await Desk(origins=(PAGE,)).ask("POST", RECORDS[2], headers={"origin": PAGE}, json=told)
        assert taken.status_code == 202
        assert taken.headers["access-control-allow-origin"] == PAGE


class TestDeclaration:
    """What the room says of itself, for /openapi.json."""

    def test_every_route_and_its_own_answers(self) -> None:
        operations = Desk().room.operations
        declared = {(each.method, each.path): set(each.answers) for each in operations}
        reads = {("GET", path): {200} for path in READS.values()}
        records = {("POST", path): {202, 400, 403, 408, 413} for path in RECORDS}
        assert declared == {**reads, ("GET", "/api/metrics/ws"): {426}, **records}
        assert len({each.name for each in operations}) == len(operations)

    def test_schemas_are_closed_and_say_what_they_hold(self) -> None:
        for operation in Desk().room.operations:
            for answer in operation.answers.values():
                assert isinstance(answer, Answer)
                schema = TypeAdapter(answer.shape).json_schema()
                for part in (schema, *schema.get("$defs", {}).values()):
                    if part["type"] == "object":
                        assert part["additionalProperties"] is False
                        assert part["required"] == list(part["properties"])
                        assert part["description"]

    @pytest.mark.parametrize("name", READS)
    async def test_documents_fit_their_schemas(self, name: str) -> None:
        desk = Desk()
        (operation,) = (each for each in desk.room.operations if each.path == READS[name])
        answer = operation.answers[200]
        assert isinstance(answer, Answer)
        body = (await desk.ask("GET", READS[name])).content
        TypeAdapter(answer.shape).validate_json(body, strict=True)
