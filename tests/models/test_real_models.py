"""Models registered, loaded, changed and unloaded by way of a real llama-server in router mode."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.models import sections
from exporter.models.model import ConflictError, Kind, Options, Registered, Status, UnavailableError
from exporter.models.preset import preset
from exporter.models.preset.preset import Section
from exporter.models.registry import write
from exporter.models.router.router import RefusedError
from exporter.models.router.watch import Home
from tests.models.house import UPSTREAM, House
from tests.models.real_router import RealRouter, router_binary
from tests.models.shelves import Board

pytestmark = pytest.mark.router

SMALL: dict[str, Any] = {"n_ctx": 512, "parallel": 1, "threads": 1}
DONE = [Kind.LOADING, Kind.LOADED]


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RealRouter]:
    with RealRouter(router_binary(), tmp_path, ("a", "b", "c")) as router:
        yield router


@pytest.fixture
def house(router: RealRouter, tmp_path: Path) -> House:
    return House(tmp_path / "models", router.preset, Home(UPSTREAM, router.url))


def props(router: RealRouter, name: str) -> dict[str, Any]:
    answer = httpx.get(f"{router.url}/props", params={"model": name, "autoload": "false"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_model_is_registered_loaded_with_options_unloaded_and_removed(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        registered = await house.register("a", "b", "c", options={"parallel": 2, "threads": 1})
        assert [(model.name, model.status, model.upstream) for model in registered] == [
            (name, Status.STOPPED, UPSTREAM) for name in "abc"
        ]
        assert router.states() == dict.fromkeys("abc", "unloaded")

        assert (await models.load("a", {"n_ctx": 4096})).status in (Status.LOADING, Status.RUNNING)
        loaded = await house.settle("a", Status.RUNNING)
        assert props(router, "a")["default_generation_settings"]["n_ctx"] == 2048
        assert loaded.context_size == 2048
        assert loaded.load_seconds is not None
        assert loaded.loaded_at is not None
        assert loaded.memory_bytes is not None
        assert loaded.registered is not None
        assert loaded.registered.options == {"n_ctx": 4096, "parallel": 2, "threads": 1}
        assert not loaded.outdated
        assert house.kinds("a") == DONE
        assert house.events[-1].model == loaded

        with pytest.raises(ConflictError, match="unload it first"):
            await models.remove("a")
        assert (await models.unload("a")).status in (Status.UNLOADING, Status.STOPPED)
        stopped = await house.settle("a", Status.STOPPED)
        assert (stopped.load_seconds, stopped.loaded_at) == (loaded.load_seconds, None)
        assert house.kinds("a") == [*DONE, Kind.UNLOADED]
        await models.remove("a")
        assert sorted(router.states()) == ["b", "c"]
        assert [model.name for model in models.all()] == ["b", "c"]


async def test_a_change_leaves_what_is_loaded_alone_until_it_is_loaded_again(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        before = router.model_port("a"), router.child("a").pid

        await house.runtime.change({"options": {"temperature": 0.5}})
        await house.until(lambda: "temperature = 0.5" in router.preset.read_text())
        await models.update("a", {"options": {**SMALL, "n_ctx": 1024}})
        await house.until(lambda: "temp" in str(router.listed()["b"]["status"]["preset"]))
        assert (router.model_port("a"), router.child("a").pid) == before
        assert router.states()["a"] == "loaded"
        assert (models.get("a").outdated, models.get("b").outdated) == (True, False)
        assert (Kind.CHANGED, "a") in house.told()

        await models.load("a", {})
        again = await house.settle("a", Status.RUNNING)
        assert (again.outdated, again.context_size) == (False, 1024)
        assert props(router, "a")["default_generation_settings"]["params"]["temperature"] == 0.5
        assert house.kinds("a") == [*DONE, Kind.UNLOADED, *DONE]
        assert router.child("a").pid != before[1]


async def test_a_model_is_loaded_anew_only_with_other_options_and_not_under_requests(
    house: House, router: RealRouter
) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        before = router.child("a").pid
        assert (await models.load("a", {"n_ctx": 512})).status is Status.RUNNING
        assert router.child("a").pid == before

        house.in_flight["a"] = 2
        for refused in (models.load("a", {"n_ctx": 1024}), models.unload("a")):
            with pytest.raises(ConflictError, match="it answers 2 requests now"):
                await refused
        assert (router.child("a").pid, models.get("a").outdated) == (before, False)

        house.in_flight.clear()
        await models.load("a", {"n_ctx": 1024})
        assert (await house.settle("a", Status.RUNNING)).context_size == 1024
        assert router.child("a").pid != before
        house.in_flight["a"] = 2
        await models.unload("a", force=True)
        await house.settle("a", Status.STOPPED)


async def test_a_restart_of_the_sidecar_cuts_nothing(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        await models.update("a", {"options": {**SMALL, "n_ctx": 1024}})
        kept = models.get("a").registered
    assert kept is not None
    before, text = router.child("a").pid, router.preset.read_text()
    house.shelf = Board({"a": write(kept)})
    async with house.run() as models:
        assert (models.get("a").status, models.get("a").outdated) == (Status.RUNNING, True)
        assert models.get("a").loaded_at is None
        await house.register("b", options=SMALL)
        assert router.child("a").pid == before
        assert router.states() == {"a": "loaded", "b": "unloaded"}
        assert preset.parse(router.preset.read_text()) == {
            **(preset.parse(text) or {}),
            "b": preset.section(str(router.models["b"]), SMALL),
        }


async def test_a_load_that_fails_says_why(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b", options=SMALL)
        house.last_words["a"] = "tensor data is not within the file bounds"
        for name in ("a", "b"):
            os.truncate(router.models[name], 100_000)
            await models.load(name, {})
            await house.settle(name, Status.ERROR)
            assert house.kinds(name) == [Kind.LOADING, Kind.FAILED]
        assert models.get("a").error == "tensor data is not within the file bounds"
        assert models.get("b").error == "llama-server could not load it; its log says why"
        assert house.events[-1].model == models.get("b")


async def test_a_load_can_be_cancelled_and_that_is_no_failure(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        assert (await models.unload("a")).status in (Status.UNLOADING, Status.STOPPED)
        await house.settle("a", Status.STOPPED)
        assert house.kinds("a")[-1] is Kind.UNLOADED
        assert Kind.FAILED not in house.kinds("a")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)


async def test_the_death_of_a_models_process_is_noticed(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        router.child("a").send_signal(signal.SIGKILL)
        await house.until(lambda: models.get("a").status is Status.ERROR)
        assert models.get("a").error == "its process has died"
        assert house.kinds("a") == [*DONE, Kind.FAILED]
        await models.load("a", {})
        assert (await house.settle("a", Status.RUNNING)).error is None


async def test_a_router_that_goes_and_comes_back_is_followed(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        router.kill()
        await house.until(lambda: models.get("a").status is Status.STOPPED)
        assert house.kinds("a") == [*DONE, Kind.UNLOADED]
        with pytest.raises(UnavailableError, match="connection refused"):
            await models.load("a", {})
        await house.register("b", options=SMALL)

        await asyncio.to_thread(router.start)
        assert sorted(router.states()) == ["a", "b"]
        await house.until(lambda: house.has_router)
        await models.load("b", {})
        await house.settle("b", Status.RUNNING)


async def test_a_refused_preset_is_taken_back_and_the_router_goes_on(
    house: House, router: RealRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(registered: Registered, for_all: Options) -> Section:
        return {"model": str(registered.path), "no-such-key": "1"}

    async with house.run() as models:
        await house.register("a", options=SMALL)
        before = router.preset.read_text()
        with monkeypatch.context() as patch:
            patch.setattr(sections, "make", make)
            with pytest.raises(RefusedError, match="option 'no-such-key' not recognized in preset 'b'"):
                await house.register("b")
        assert "no-such-key" in str(models.problem)
        assert [model.name for model in models.all()] == ["a"]
        assert router.preset.read_text() == before
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
