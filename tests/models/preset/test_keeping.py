"""The preset file while others are at work: at the router, on the disk, in the store. Nothing is cut or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from exporter.models import upkeep
from exporter.models.model import ConflictError, Document, Status, UnavailableError, UnknownModelError
from exporter.models.preset import preset
from exporter.models.registry import write
from exporter.models.router import router
from tests.models.fake_router import FakeRouter
from tests.models.house import House
from tests.models.shelves import A, Board

UNLOAD = "/models/unload"
EARLIER = preset.render({"old": {"model": "/old.gguf", "top-k": "7"}})


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(upkeep, "STORE_SECONDS", 0.01)


@pytest.fixture
def old(house: House, fake: FakeRouter) -> None:
    """What an earlier run has written, and the router has loaded by that."""
    house.preset.write_text(EARLIER)
    fake.states["old"] = {"value": "loaded", "source": "preset"}


def after_writing(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something happen as soon as the file is written the next time, before the router is told to read it."""
    original = preset.write

    def write_and_act(path: Path, text: str) -> None:
        monkeypatch.setattr(preset, "write", original)
        original(path, text)
        act()

    monkeypatch.setattr(preset, "write", write_and_act)


def sections(house: House) -> Mapping[str, Mapping[str, str]]:
    found = preset.parse(house.preset.read_text())
    assert found is not None
    return found


async def quiet(house: House) -> None:
    """Nothing is due any more."""
    await house.until(lambda: not house.models._upkeep._due.is_set())
    async with house.models._turns.soon():
        pass


@pytest.mark.usefixtures("old", "hasty")
async def test_nothing_is_written_before_the_store_is_open(house: House, fake: FakeRouter) -> None:
    shelf = house.shelf = Board({A.name: write(A)})
    shelf.away = True
    async with house.run(ready=False) as models:
        await house.until(lambda: fake.listeners == 1 and len(models.all()) == 2)
        for name in ("known", "old"):
            with pytest.raises(UnavailableError, match="not open yet"):
                await models.load(name, {})
        with pytest.raises(UnavailableError, match="not open yet"):
            await models._parts.apply()
        assert (house.preset.read_text(), fake.asked) == (EARLIER, [])
        shelf.away = False
        await house.until(lambda: A.name in sections(house))
        assert sections(house)["old"] == {"model": "/old.gguf", "top-k": "7"}


@pytest.mark.usefixtures("old")
async def test_nothing_is_written_before_the_file_of_an_earlier_run_is_read(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = asyncio.Event()
    async with house.run(ready=False) as models:
        monkeypatch.setattr(models._parts.keeper, "open", read.wait)
        await house.until(lambda: fake.listeners == 1)
        with pytest.raises(UnavailableError, match="has not been read yet"):
            await models.load("known", {})
        assert (house.preset.read_text(), fake.asked) == (EARLIER, [])


@pytest.mark.usefixtures("old")
async def test_what_is_loaded_stays_though_nobody_has_registered_it(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        assert (fake.states["old"]["value"], sorted(sections(house))) == ("loaded", ["a", "old"])
        assert not models.get("old").outdated
        assert (await models.load("old", {})).status is Status.RUNNING
        with pytest.raises(ConflictError, match="is not registered any more"):
            await models.load("old", {"n_ctx": 512})
        fake.states["old"]["value"] = "unloaded"
        fake.tell("old", {"status": "unloaded", "exit_code": 0})
        await house.until(lambda: sorted(sections(house)) == ["a"])
        await house.until(lambda: "old" not in fake.states)
        with pytest.raises(UnknownModelError):
            await models.load("old", {})


async def test_a_process_that_our_file_does_not_explain_is_kept_where_that_can_be_done(
    house: House, fake: FakeRouter
) -> None:
    """The file was lost while we were away."""
    fake.states["a"] = {"value": "loaded", "source": "preset"}
    fake.states["known"] = {"value": "loaded"}
    async with house.run() as models:
        await models.update("known", {"options": {"top_k": 5}})
        await house.register("a")
        assert list(sections(house)) == ["a"]
        assert models.get("known").outdated


@pytest.mark.usefixtures("hasty")
async def test_a_model_that_is_asked_for_something_is_about_to_be_loaded(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        fake.states["a"]["aliases"] = ["also"]
        await models._parts.watch.look()
        house.in_flight["also"] = 1
        await models.update("a", {"options": {"top_k": 5}})
        await house.runtime.change({"options": {"min_p": 0.5}})
        await house.until(lambda: "min-p" in sections(house)["b"])
        assert sections(house)["a"].keys() == {"model"}
        with pytest.raises(ConflictError, match="a is in use: it answers 1 request now"):
            await models.load("a", {"n_ctx": 512})
        registered = models.get("a").registered
        assert registered is not None
        assert registered.options == {"top_k": 5}
        await models.load("b", {})
        await house.settle("b", Status.RUNNING)
        house.in_flight.clear()
        await house.until(lambda: sections(house)["a"].keys() == {"model", "top-k", "min-p"})


async def test_requests_to_a_model_that_cannot_be_loaded_do_not_keep_it_from_better_options(
    house: House, fake: FakeRouter
) -> None:
    async with house.run() as models:
        await house.register("a")
        fake.states["a"].update(value="unloaded", failed=True, exit_code=1)
        await models._parts.watch.look()
        assert models.get("a").status is Status.ERROR
        house.in_flight["a"] = 7
        await models.update("a", {"options": {"top_k": 5}})
        assert sections(house)["a"]["top-k"] == "5"
        fake.states["a"] = {"value": "unloaded", "source": "preset"}
        house.in_flight.clear()
        await models.load("a", {"top_k": 6})
        await house.settle("a", Status.RUNNING)


async def test_a_model_that_is_loaded_while_the_file_is_written_is_not_cut(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, original = list[str](), fake.on_reload

    def note() -> None:
        read.append(house.preset.read_text())
        original()

    async with house.run() as models:
        await house.register("a", "b")
        await quiet(house)
        fake.on_reload = note
        after_writing(monkeypatch, lambda: fake.states["a"].update(value="loaded"))
        await house.runtime.change({"options": {"top_k": 5}})
        await quiet(house)
        assert [preset.parse(text) for text in read] == [sections(house)]
        assert (list(sections(house)["a"]), list(sections(house)["b"])) == (["model"], ["model", "top-k"])
        assert models.get("a").outdated
        after_writing(monkeypatch, lambda: house.in_flight.update(b=1))
        read.clear()
        await house.runtime.change({"options": {}})
        assert (read, list(sections(house)["b"])) == ([], ["model", "top-k"])


async def test_as_long_as_it_cannot_be_seen_what_is_loaded_nothing_changes(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router, "LIST_SECONDS", 0.3)
    async with house.run() as models:
        await house.register("a")
        await quiet(house)
        before = house.preset.read_text()
        fake.asked.clear()
        await models._parts.watch.look()
        after_writing(monkeypatch, lambda: fake.held.update({"/models": asyncio.Event()}))
        with pytest.raises(UnavailableError, match="timed out"):
            await models.load("a", {"n_ctx": 512})
        assert (house.preset.read_text(), fake.asked) == (before, [])
        assert "timed out" in str(models.problem)
        fake.held.pop("/models").set()
        await models._parts.watch.look()
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        assert (sections(house)["a"]["ctx-size"], models.problem) == ("512", None)


async def test_who_arrives_while_options_are_being_kept_is_not_cut(house: House, fake: FakeRouter) -> None:
    class Slow(Board):
        async def put(self, documents: Mapping[str, Document]) -> None:
            await super().put(documents)
            if house.in_flight:
                house.in_flight["a"] = 1

    shelf = house.shelf = Slow()
    async with house.run() as models:
        await house.register("a")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        house.in_flight["somebody else"] = 1
        with pytest.raises(ConflictError, match="in use"):
            await models.load("a", {"n_ctx": 512})
        assert f"POST {UNLOAD} a" not in fake.asked
        assert not models.get("a").outdated
        assert shelf.documents["a"].get("options") == {}


async def test_requests_by_each_name_of_a_model_are_counted(house: House, fake: FakeRouter) -> None:
    fake.states["known"]["aliases"] = ["k", "known"]
    async with house.run() as models:
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)
        house.in_flight.update(known=1, k=1)
        with pytest.raises(ConflictError, match="it answers 2 requests now"):
            await models.unload("known")
