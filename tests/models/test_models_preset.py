"""The preset file and the router that reads it, or does not; and which router that is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exporter.models import upkeep
from exporter.models.model import ConflictError, FailedError, Status, UnavailableError
from exporter.models.preset import preset
from exporter.models.registry import write
from exporter.models.router import router
from tests.models.fake_router import FakeRouter
from tests.models.house import House
from tests.models.shelves import Board

LOAD, UNLOAD, RELOAD = "/models/load", "/models/unload", "/models?reload=1"


async def test_a_router_that_does_not_read_our_file_is_found_out(house: House, fake: FakeRouter) -> None:
    fake.on_reload = lambda: None
    async with house.run() as models:
        await house.register("a")
        with pytest.raises(ConflictError, match=f"start it with --models-preset {house.preset}"):
            await models.load("a", {})
        fake.states["known"]["source"] = "models_dir"
        with pytest.raises(ConflictError, match="--models-preset"):
            await models.load("known", {"n_ctx": 512})
        assert not [each for each in fake.asked if LOAD in each]


async def test_a_section_without_a_file_is_not_loaded(house: House, fake: FakeRouter) -> None:
    fake.on_reload = lambda: None
    fake.states["known"] = {"value": "unloaded", "source": "preset", "args": ["llama-server"]}
    async with house.run() as models:
        with pytest.raises(ConflictError, match="knows no file of known"):
            await models.load("known", {"n_ctx": 512})
        assert "[known]" not in house.preset.read_text()


async def test_a_file_that_cannot_be_written_is_said_when_it_is_needed(house: House, tmp_path: Path) -> None:
    house.preset = tmp_path / "models" / "a.gguf" / "models.ini"
    async with house.run() as models:
        await house.register("a")
        assert "cannot be written" in str(models.problem)
        with pytest.raises(FailedError, match="cannot be written"):
            await models.load("a", {})
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)


async def test_a_file_of_somebody_else_is_not_touched(house: House) -> None:
    house.preset.write_text("[mine]\nmodel = /mine.gguf\n")
    async with house.run() as models:
        await house.register("a")
        with pytest.raises(FailedError, match="is not ours"):
            await models.load("a", {})
    assert house.preset.read_text() == "[mine]\nmodel = /mine.gguf\n"


async def test_a_router_that_is_silent_learns_of_a_model_later(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "CHANGE_SECONDS", 0.3)
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.02)
    async with house.run() as models:
        fake.held[RELOAD] = asyncio.Event()
        await house.register("a")
        assert "timed out" in str(models.problem)
        with pytest.raises(UnavailableError, match="timed out"):
            await models.load("a", {})
        fake.held[RELOAD].set()
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        assert models.problem is None


async def test_a_model_that_ends_is_loaded_with_what_is_wanted_by_the_next_request(
    house: House, fake: FakeRouter
) -> None:
    async with house.run() as models:
        await house.register("a")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        await models.update("a", {"options": {"n_ctx": 512}})
        assert (models.get("a").outdated, "ctx-size" in house.preset.read_text()) == (True, False)
        fake.states["a"]["value"] = "unloaded"
        fake.tell("a", {"status": "unloaded", "exit_code": 0})
        await house.until(lambda: "ctx-size = 512" in house.preset.read_text())
        assert not models.get("a").outdated


async def test_nothing_is_read_again_for_nothing(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        await house.until(lambda: not models._upkeep._due.is_set())
        fake.asked.clear()
        await models.update("a", {"description": "new"})
        await house.runtime.change({"metrics_interval_ms": 500})
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        await models.load("a", {})
        assert fake.asked == [f"POST {LOAD} a"]
        house.in_flight["a"] = 1
        await house.runtime.change({"options": {"temperature": 0.5}})
        await models.update("a", {"options": {"temperature": 0.5}})
        with pytest.raises(ConflictError, match="in use"):
            await models.load("a", {})
        await house.runtime.change({"options": {}})
        await models.update("a", {"options": {}})
        assert (await models.load("a", {})).status is Status.RUNNING


async def test_a_router_that_has_not_read_the_file_is_told_to(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        registered = models.get("a").registered
    assert registered is not None
    house.shelf = Board({"a": write(registered)})
    del fake.states["a"]
    fake.asked.clear()
    async with house.run() as models:
        await house.until(lambda: "a" in fake.states)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        assert fake.asked == [f"GET {RELOAD}", f"POST {LOAD} a"]


async def test_a_broken_file_of_ours_is_written_anew(house: House) -> None:
    house.preset.write_text(f"{preset.HEADER}\nno router starts with this\n")
    async with house.run():
        await house.until(lambda: preset.parse(house.preset.read_text()) == {})
