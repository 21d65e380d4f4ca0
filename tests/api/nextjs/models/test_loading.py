"""Loading and unloading over HTTP: the documented routes, and those of real front ends, which wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exporter.models.model import Status
from tests.api.nextjs.stand import Stand, managing

LOAD, UNLOAD = "/models/load", "/models/unload"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        await made.register("a", "b")
        yield made


def hold_loading(stand: Stand, name: str = "a") -> None:
    """The next load of it begins, and does not end."""
    assert stand.router is not None
    stand.router.answers[LOAD] = (200, {"success": True})
    stand.router.states[name]["value"] = "loading"


def end_loading(stand: Stand, name: str = "a", *, failed: bool = False) -> None:
    assert stand.router is not None
    del stand.router.answers[LOAD]
    value = "unloaded" if failed else "loaded"
    stand.router.states[name] |= {"value": value, "failed": failed, "exit_code": int(failed)}
    stand.router.tell(name, {"status": value, "exit_code": int(failed)})


async def begin(stand: Stand, path: str) -> asyncio.Task[httpx.Response]:
    """Ask, and wait until the model is loading."""
    task = asyncio.ensure_future(stand.ask("POST", path))
    assert stand.house is not None
    await stand.house.until(lambda: stand.models.get("a").status is Status.LOADING or task.done())
    return task


async def test_load_says_what_has_begun(stand: Stand) -> None:
    body = {"config": {"n_ctx": 4096, "n_gpu_layers": 35, "temperature": 0.7}}
    answer = await stand.post("/api/models/a/load", body, 202)
    assert {key: answer[key] for key in ("message", "modelId", "status", "estimatedTime")} == {
        "message": "Model loading initiated",
        "modelId": "a",
        "status": "loading",
        "estimatedTime": answer["estimatedTime"],
    }
    assert (await stand.get("/api/models/a"))["parameters"] == body["config"]
    assert stand.house is not None
    await stand.house.settle("a", Status.RUNNING)
    again = await stand.post("/api/models/a/load", body, 202)
    assert (again["message"], again["status"], again["estimatedTime"]) == ("Model is loaded already", "running", 0)


async def test_no_time_is_made_up(stand: Stand) -> None:
    hold_loading(stand)
    assert (await stand.post("/api/models/a/load", {}, 202))["estimatedTime"] is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"config": {}}', b'{"config": null}'])
async def test_a_body_may_say_nothing(stand: Stand, body: bytes) -> None:
    answer = await stand.ask("POST", "/api/models/a/load", content=body)
    assert answer.status_code == 202
    answer = await stand.ask("POST", "/api/models/a/unload", content=body)
    assert (answer.status_code, answer.json()["status"]) == (202, "unloading")
    assert answer.json()["message"] == "Model unloading initiated"


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("load", {"config": {"n_ctx": "many"}}, ["config.n_ctx"]),
        ("load", {"config": {"n_ctxx": 1, "temprature": 1}}, ["config.n_ctxx", "config.temprature"]),
        ("load", {"config": []}, ["config"]),
        ("load", {"cnfig": {}}, ["cnfig"]),
        ("load", [], ["body"]),
        ("unload", {"force": "yes"}, ["force"]),
    ],
)
async def test_what_is_wrong_is_named(stand: Stand, path: str, body: object, fields: list[str]) -> None:
    answer = await stand.ask("POST", f"/api/models/a/{path}", json=body)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == fields


async def test_while_another_one_is_loading(stand: Stand) -> None:
    hold_loading(stand)
    await stand.post("/api/models/a/load", status=202)
    refused = await stand.post("/api/models/b/load", status=409)
    assert refused["error"]["code"] == "CONFLICT"
    assert "another model is loading" in refused["error"]["message"]
    plain = await stand.post("/api/models/b/start", status=409)
    assert "another model is loading" in plain["error"]
    shown = await stand.get("/api/models/a")
    assert shown["status"] == "loading"


async def test_a_model_in_use_is_not_unloaded_unless_forced(stand: Stand) -> None:
    assert stand.house is not None
    await stand.post("/api/models/a/start")
    stand.house.in_flight["a"] = 1
    refused = await stand.post("/api/models/a/unload", status=409)
    assert refused["error"]["code"] == "CONFLICT"
    await stand.post("/api/models/a/stop", status=409)
    await stand.post("/api/models/a/stop", {"force": "yes"}, 409)
    await stand.post("/api/models/a/unload", {"force": True}, 202)
    await stand.house.settle("a", Status.STOPPED)
    await stand.post("/api/models/a/unload", status=409)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"template": "chatml"}', b"[]", b'"text"'])
async def test_start_waits_until_the_model_is_loaded(stand: Stand, body: bytes) -> None:
    answer = await stand.ask("POST", "/api/models/a/start", content=body)
    assert answer.status_code == 200
    document = answer.json()
    assert (document["model"], document["status"], document["message"]) == ("a", "loaded", "Model a is loaded")
    assert document["data"]["status"] == "running"
    stopped = await stand.ask("POST", "/api/models/a/stop", content=body)
    assert (stopped.status_code, stopped.json()["status"]) == (200, "stopped")
    again = await stand.ask("POST", "/api/models/a/stop", content=body)
    assert (again.status_code, again.json()["status"]) == (200, "stopped"), "it is stopped already"


@pytest.mark.parametrize("word", ["start", "stop"])
@pytest.mark.parametrize("body", [b"{nonsense", b"\xff", b'{"config": {"n_ctx": 512}'])
async def test_what_is_no_json_is_not_taken_for_nothing(stand: Stand, word: str, body: bytes) -> None:
    answer = await stand.ask("POST", f"/api/models/a/{word}", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not JSON")
    assert (await stand.get("/api/models/a"))["status"] == "stopped"


@pytest.mark.parametrize("word", ["load", "start"])
async def test_null_is_no_value_of_its_own_any_more(stand: Stand, word: str) -> None:
    status = 202 if word == "load" else 200
    assert stand.house is not None
    await stand.post(f"/api/models/a/{word}", {"config": {"n_ctx": 512, "temperature": 0.5}}, status)
    await stand.house.settle("a", Status.RUNNING)
    await stand.post(f"/api/models/a/{word}", {"config": {"ctx_size": None, "top_k": None, "top_p": 0.5}}, status)
    await stand.house.settle("a", Status.RUNNING)
    shown = await stand.get("/api/models/a")
    assert (shown["parameters"], shown["outdated"]) == ({"temperature": 0.5, "top_p": 0.5}, False)
    assert "config.nope" in str(await stand.post(f"/api/models/a/{word}", {"config": {"nope": None}}, 400))


async def test_options_are_as_before_when_it_is_not_loaded(stand: Stand) -> None:
    assert stand.house is not None
    await stand.post("/api/models/a/start", {"config": {"n_ctx": 512}})
    stand.house.in_flight["a"] = 1
    await stand.post("/api/models/a/start", {"config": {"n_ctx": None}}, 409)
    shown = await stand.get("/api/models/a")
    assert (shown["parameters"], shown["outdated"]) == ({"n_ctx": 512}, False)


async def test_values_and_nulls_are_one_step(stand: Stand) -> None:
    assert stand.router is not None
    await stand.ask("PUT", "/api/models/a", json={"parameters": {"n_ctx": 512}})
    stand.router.asked.clear()
    body = {"config": {"n_ctx": None, "top_k": 5}}
    await stand.post("/api/models/a/load", body, 202)
    assert stand.router.asked == ["GET /models?reload=1", f"POST {LOAD} a"]


async def test_start_takes_options(stand: Stand) -> None:
    await stand.post("/api/models/a/start", {"config": {"n_ctx": 512}})
    assert (await stand.get("/api/models/a"))["parameters"] == {"n_ctx": 512}
    refused = await stand.post("/api/models/a/start", {"config": {"n_ctx": "x"}}, 400)
    assert "config.n_ctx: must be" in refused["error"]


async def test_start_answers_as_soon_as_it_is_loaded(stand: Stand) -> None:
    hold_loading(stand)
    task = await begin(stand, "/api/models/a/start")
    assert not task.done()
    end_loading(stand)
    answer = await asyncio.wait_for(task, 10)
    assert (answer.status_code, answer.json()["status"]) == (200, "loaded")


async def test_a_load_that_takes_too_long_is_answered_all_the_same(stand: Stand) -> None:
    await stand.runtime.change({"load_wait_ms": 50})
    hold_loading(stand)
    answer = await stand.post("/api/models/a/start", status=202)
    assert (answer["status"], answer["message"]) == ("loading", "Model a is still loading")
    end_loading(stand)


async def test_a_load_that_fails_is_an_error_with_the_reason(stand: Stand) -> None:
    hold_loading(stand)
    task = await begin(stand, "/api/models/a/start")
    end_loading(stand, failed=True)
    answer = await asyncio.wait_for(task, 10)
    assert answer.status_code == 500
    document = answer.json()
    assert document["error"].startswith("a could not be loaded: ")
    assert (document["status"], document["model"], document["code"]) == ("error", "a", "INTERNAL_ERROR")
    shown = await stand.get("/api/models/a")
    assert shown["status"] == "error"
    assert shown["error"] in document["error"]


async def test_one_that_is_unloaded_meanwhile(stand: Stand) -> None:
    hold_loading(stand)
    task = await begin(stand, "/api/models/a/start")
    assert stand.router is not None
    del stand.router.answers[LOAD]
    await stand.post("/api/models/a/unload", status=202)
    answer = await asyncio.wait_for(task, 10)
    assert answer.status_code == 409
    assert "unloaded while" in answer.json()["error"]


async def test_whoever_waits_is_answered_when_the_sidecar_stops(stand: Stand) -> None:
    hold_loading(stand)
    task = await begin(stand, "/api/models/a/start")
    stand.room.close()
    answer = await asyncio.wait_for(task, 10)
    assert answer.status_code == 202
    end_loading(stand)


async def test_starts_and_stops_are_noted_for_those_who_say_it_again(stand: Stand) -> None:
    assert not stand.recent.within("a", 60)
    await stand.post("/api/models/a/start")
    assert stand.recent.within("a", 60)
    assert not stand.recent.within("b", 60)
    await stand.post("/api/models/b/stop")
    assert stand.recent.within("b", 60)
    await stand.post("/api/models/x/start", status=404)
    assert not stand.recent.within("x", 60)


async def test_a_router_that_is_away(stand: Stand) -> None:
    assert stand.router is not None
    await stand.router.stop()
    answer = await stand.ask("POST", "/api/models/a/load")
    assert answer.status_code in (409, 503)
    assert (await stand.ask("POST", "/api/models/a/start")).json()["model"] == "a"
