"""What the page polls, behind the admin application: documents, errors, the description."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from exporter.api import admin
from exporter.api.monitoring.documents import Failure, FinishedRequests, ModelList, Now
from exporter.api.monitoring.errors import refuse
from exporter.api.monitoring.now import Proxy
from exporter.api.monitoring.reading import operations
from exporter.api.openapi.document import describe
from exporter.api.room import Room
from exporter.keys import KeyRing
from exporter.models.model import Status
from exporter.models.models import Models
from exporter.store.figures import Filter
from tests.api.monitoring.documents import read_bytes
from tests.api.monitoring.past import Courses, as_past, course
from tests.api.views import make_views
from tests.models.fake_router import FakeRouter
from tests.models.house import UPSTREAM, House, behind

FACTS: dict[str, Any] = {
    "keys": False,
    "proxy": Proxy("127.0.0.1", 8001, keys=False),
    "streams": True,
    "sample_seconds": lambda: 5.0,
}
AWAY = "the store cannot be read now; the log of the sidecar says why"


def make_room(models: Models, past: Courses | None = None, **views: Any) -> Room:
    return Room(
        name="Monitoring",
        about="As in the sidecar.",
        operations=operations(make_views(past=as_past(past), **views), models, **FACTS),
        places=("/monitoring/",),
        refuse=refuse,
        error_shape=Failure,
    )


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without a router."""
    return House(tmp_path / "models", tmp_path / "models.ini")


@asynccontextmanager
async def client_of(room: Room) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(admin.application([room], KeyRing([])))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        yield client


async def get(house: House, path: str, past: Courses | None = None, **views: Any) -> httpx.Response:
    async with house.run() as models, client_of(make_room(models, past, **views)) as client:
        return await client.get(path)


def mistakes(room: Room, path: str, status: int, document: Any) -> list[str]:
    described = describe([room], "1.2.3", keys=False)
    content = described["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]
    schema = {**content["schema"], "components": described["components"]}
    found = Draft202012Validator(schema, validate_formats=True).iter_errors(document)
    return [error.message for error in found]


async def test_all_three_are_what_is_described(house: House) -> None:
    past = Courses([course(1), course(2, outcome="timeout", model=None)])
    async with house.run() as models:
        room = make_room(models, past)
        async with client_of(room) as client:
            for path, kind in (("now", Now), ("models", ModelList), ("requests", FinishedRequests)):
                answer = await client.get(f"/monitoring/{path}")
                assert answer.status_code == 200
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["cache-control"] == "no-cache"
                document = read_bytes(kind, answer.content)
                assert path != "now" or (document["keys"], document["streams"], document["history"]) == (
                    False,
                    True,
                    True,
                )
                assert mistakes(room, f"/monitoring/{path}", 200, answer.json()) == []


async def test_examples(house: House) -> None:
    async with house.run() as models:
        room = make_room(models)
    described = describe([room], "1.2.3", keys=False)
    seen = 0
    for path, methods in described["paths"].items():
        for status, response in methods["get"]["responses"].items():
            for content in response.get("content", {}).values():
                if "example" in content:
                    assert mistakes(room, path, int(status), content["example"]) == []
                    seen += 1
    assert seen == 5
    assert mistakes(room, "/monitoring/requests", 400, {"error": "x", "more": 1}) != []


async def test_requests_of_this_sidecar_alone(house: House) -> None:
    past = Courses()
    query = "model=a%20b&tier=Q4&outcome=failed&behind=7&limit=50&instance=another&nonsense=1"
    assert (await get(house, f"/monitoring/requests?{query}", past)).status_code == 200
    failed = ("upstream_error", "stream_error", "timeout", "rejected")
    assert past.asked == [(Filter("host:8001", "a b", "Q4", failed, 7), 50)]


async def test_the_newest_by_default(house: House) -> None:
    past = Courses(course(number) for number in range(1, 300))
    answer = await get(house, "/monitoring/requests", past)
    assert past.asked == [(Filter("host:8001"), 200)]
    assert [each["id"] for each in answer.json()["requests"]] == [10_000_000 - number for number in range(1, 201)]


async def test_they_are_written_by_the_thread_of_the_reader(house: House) -> None:
    import threading  # noqa: PLC0415 - of this test alone

    past = Courses([course()])
    await get(house, "/monitoring/requests", past)
    assert len(past.threads) == 1
    assert past.threads[0] != threading.current_thread().ident


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=201", "limit: not a whole number from 1 to 200"),
        ("limit=50&limit=x", "limit: not a whole number from 1 to 200"),
        ("behind=-1", "behind: not a whole number from 0 to 9007199254740991"),
        ("model=%00", "model: not a name"),
        (
            "outcome=bad",
            "outcome: not one of completed, upstream_error, stream_error, client_gone, timeout, rejected, failed",
        ),
    ],
)
async def test_what_makes_no_sense(house: House, query: str, error: str) -> None:
    past = Courses()
    answer = await get(house, f"/monitoring/requests?{query}", past)
    assert (answer.status_code, answer.json()) == (400, {"error": error})
    assert past.asked == []


async def test_no_store(house: House) -> None:
    answer = await get(house, "/monitoring/requests?limit=x")
    assert (answer.status_code, answer.json()) == (503, {"error": "history is off: store.url is none"})
    assert "retry-after" not in answer.headers


async def test_a_store_that_does_not_answer(house: House) -> None:
    past = Courses()
    past.failing = True
    answer = await get(house, "/monitoring/requests", past)
    assert (answer.status_code, answer.json()) == (503, {"error": AWAY})
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("5", "no-cache")


async def test_methods_and_paths_that_there_are_not(house: House) -> None:
    async with house.run() as models, client_of(make_room(models)) as client:
        wrong = await client.post("/monitoring/now")
        unknown = await client.get("/monitoring/nope")
    assert (wrong.status_code, wrong.json()) == (405, {"error": "POST is not allowed here, only GET, HEAD"})
    assert (unknown.status_code, unknown.json()) == (404, {"error": "no such path: /monitoring/nope"})


async def test_models_as_they_are_now(tmp_path: Path) -> None:
    async with FakeRouter({"known": {"value": "unloaded"}}).run() as fake:
        house = behind(fake, tmp_path)
        async with house.run() as models, client_of(make_room(models)) as client:
            await house.register("a")
            before = (await client.get("/monitoring/models")).json()
            await models.load("known", {})
            await house.settle("known", Status.RUNNING)
            after = (await client.get("/monitoring/models")).json()
    told = [[(each["name"], each["status"], each["can_load"]) for each in each["models"]] for each in (before, after)]
    assert told == [
        [("a", "stopped", True), ("known", "stopped", True)],
        [("known", "running", False), ("a", "stopped", True)],
    ]
    assert (after["loads_on"], after["total"]) == (UPSTREAM, 2)
