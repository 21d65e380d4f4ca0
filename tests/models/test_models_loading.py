"""Loading and unloading where a router does what a real one cannot be made to do."""

from __future__ import annotations

import asyncio

import pytest

from exporter.models import loading
from exporter.models.model import (
    ConflictError,
    FailedError,
    InvalidError,
    Kind,
    Status,
    UnavailableError,
    UnknownModelError,
)
from exporter.models.router import router, watch
from exporter.models.router.router import RefusedError
from tests.models.fake_router import FakeRouter
from tests.models.house import House

LOAD, UNLOAD, RELOAD = "/models/load", "/models/unload", "/models?reload=1"


async def test_of_two_who_race_one_loads(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        fake.answers[LOAD], fake.held[LOAD] = (200, {"success": True}), asyncio.Event()
        racing = [asyncio.ensure_future(models.load(name, {})) for name in ("a", "b", "a")]
        await house.until(lambda: f"POST {LOAD} a" in fake.asked)
        assert models.get("a").status is Status.LOADING
        fake.states["a"]["value"] = "loading"
        fake.held[LOAD].set()
        first, second, third = await asyncio.gather(*racing, return_exceptions=True)
        assert isinstance(second, ConflictError)
        assert first == third == models.get("a")
        assert [each for each in fake.asked if LOAD in each] == [f"POST {LOAD} a"]


async def test_one_that_is_loading_is_not_loaded_again_with_other_options(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        fake.answers[LOAD] = (200, {"success": True})
        await models.load("a", {})
        fake.states["a"]["value"] = "loading"
        assert (await models.load("a", {})).status is Status.LOADING
        with pytest.raises(ConflictError, match="a is loading already, with other options"):
            await models.load("a", {"n_ctx": 512})
        with pytest.raises(ConflictError, match="another model is loading: a"):
            await models.load("b", {})
        with pytest.raises(ConflictError, match="a is loading: unload it first"):
            await models.remove("a")
        assert (await models.update("a", {"options": {"n_ctx": 512}})).outdated
        assert "ctx-size" not in house.preset.read_text()
        assert fake.asked.count(f"POST {LOAD} a") == 1


async def test_a_router_that_does_not_answer_leaves_nothing_loading(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "CHANGE_SECONDS", 0.3)
    async with house.run() as models:
        fake.held[LOAD] = asyncio.Event()
        with pytest.raises(UnavailableError, match="timed out"):
            await models.load("known", {})
        assert models.get("known").status is Status.STOPPED
        assert house.kinds("known") == [Kind.LOADING, Kind.UNLOADED]


async def test_what_the_router_does_not_take_is_said(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        fake.answers[LOAD] = (500, {"error": {"message": "model limit reached, try again later"}})
        with pytest.raises(ConflictError, match="all that are loaded are busy"):
            await models.load("known", {})
        fake.answers[LOAD] = (500, {"error": {"message": "broken"}})
        with pytest.raises(FailedError, match="broken"):
            await models.load("known", {})
        with pytest.raises(UnknownModelError):
            await models.load("nobody", {})
        with pytest.raises(ConflictError, match="is not loaded"):
            await models.unload("known")
        assert models.get("known").status is Status.STOPPED


async def test_a_model_that_only_the_router_knows_is_registered_with_its_first_options(
    house: House, fake: FakeRouter
) -> None:
    async with house.run() as models:
        await models.load("known", {})
        assert (await house.settle("known", Status.RUNNING)).registered is None
        await models.load("known", {"temperature": 0.5})
        registered = (await house.settle("known", Status.RUNNING)).registered
        assert registered is not None
        assert (registered.path, registered.options) == (None, {"temperature": 0.5})
        assert "[known]\ntemperature = 0.5" in house.preset.read_text()
        orders = [each for each in fake.asked if each.startswith("POST")]
        assert orders == [f"POST {LOAD} known", f"POST {UNLOAD} known", f"POST {LOAD} known"]


async def test_an_old_router_without_events_is_looked_at(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HASTY_SECONDS", 0.02)
    fake.has_events = False
    async with house.run() as models:
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)
        await models.unload("known")
        await house.settle("known", Status.STOPPED)
        assert house.kinds("known") == [Kind.LOADING, Kind.LOADED, Kind.UNLOADED]


async def test_what_happens_while_the_events_are_not_heard_is_found(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.until(lambda: fake.listeners == 1)
        fake.hang_up()
        fake.states["known"]["value"] = "loaded"
        await house.until(lambda: models.get("known").status is Status.RUNNING)
        await house.until(lambda: fake.listeners == 1)
        fake.states["known"]["value"] = "sleeping"
        fake.tell("known", {"status": "sleeping"})
        await house.until(lambda: models.get("known").status is Status.IDLE)


async def test_a_load_that_the_router_does_not_outlive_is_over(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        fake.answers[LOAD] = (200, {"success": True})
        await models.load("known", {})
        fake.tell("known", {"status": "loading"}, "model_status")
        await fake.stop()
        await house.settle("known", Status.ERROR)
        assert models.get("known").error == "llama-server ended while it was loading"
        with pytest.raises(UnavailableError, match="connection refused"):
            await models.load("known", {})
        fake.answers.clear()
        await fake.start()
        await house.until(lambda: house.has_router)
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)


async def test_a_model_that_does_not_end_is_not_loaded_anew(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "UNLOAD_SECONDS", 0.2)
    async with house.run() as models:
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)
        fake.answers[UNLOAD] = (200, {"success": True})
        with pytest.raises(UnavailableError, match="still being unloaded"):
            await models.load("known", {"n_ctx": 512})
        assert (await models.unload("known")).status is Status.UNLOADING


async def test_options_that_the_router_does_not_take_are_not_kept(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        before = models.get("a"), house.preset.read_text()
        fake.answers[RELOAD] = (500, {"error": {"message": "option 'ctx-size' not recognized"}})
        with pytest.raises(RefusedError, match="ctx-size"):
            await models.load("a", {"n_ctx": 512})
        assert (models.get("a"), house.preset.read_text()) == before
        with pytest.raises(InvalidError, match="n_ctx"):
            await models.load("a", {"n_ctxx": 512})


async def test_an_unload_that_is_refused_changes_nothing(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await models.load("known", {})
        running = await house.settle("known", Status.RUNNING)
        fake.answers[UNLOAD] = (500, {"error": {"message": "broken"}})
        with pytest.raises(FailedError, match="broken"):
            await models.unload("known")
        assert models.get("known") == running
        fake.answers[UNLOAD] = (400, {"error": {"message": "model is not running"}})
        fake.states["known"]["value"] = "unloaded"
        await models.unload("known")
        await house.settle("known", Status.STOPPED)


async def test_a_model_that_is_being_unloaded_is_loaded_when_that_is_over(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)
        fake.answers[UNLOAD] = (200, {"success": True})
        await models.unload("known")
        again = asyncio.ensure_future(models.load("known", {}))
        assert (await models.settled("known", 0.05)).status is Status.UNLOADING
        fake.states["known"]["value"] = "unloaded"
        fake.tell("known", {"status": "unloaded", "exit_code": 1})
        await again
        await house.settle("known", Status.RUNNING)
        assert house.kinds("known") == [Kind.LOADING, Kind.LOADED, Kind.UNLOADED, Kind.LOADING, Kind.LOADED]


async def test_of_a_load_that_nobody_waits_for_is_found_what_has_become_of_it(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        fake.held[LOAD] = asyncio.Event()
        load = asyncio.ensure_future(models.load("known", {}))
        await house.until(lambda: f"POST {LOAD} known" in fake.asked)
        fake.states["known"]["value"] = "loading"
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        assert models.get("known").status is Status.LOADING
        fake.held[LOAD].set()
        fake.states["known"]["value"] = "loaded"
        models._parts.watch.ask()
        await house.settle("known", Status.RUNNING)


async def test_use_under_another_name_is_use(house: House, fake: FakeRouter) -> None:
    fake.states["known"]["aliases"] = ["nickname"]
    async with house.run() as models:
        assert models.get("known").last_used_at is None
        house.last_used["nickname"] = 5e8
        assert models.get("known").last_used_at == 5e8
        house.in_flight["nickname"] = 1
        assert (models.get("known").last_used_at or 0) > 1e9
