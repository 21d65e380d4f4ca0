"""Loads that are refused: no option is set, and none is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.models import upkeep
from exporter.models.model import ConflictError, InvalidError, ModelsError, Status, UnavailableError
from exporter.models.preset import preset
from tests.models.fake_router import FakeRouter
from tests.models.house import House, refuse, served
from tests.models.shelves import Board

LOAD, RELOAD = "/models/load", "/models?reload=1"
OWN = {"n_ctx": 512, "temperature": 0.5}
CHANGE = {"ctx_size": None, "temperature": 0.7, "top_k": 5}
"""One to be removed, by another of its names, one to be changed, and one to be added."""


def use(house: House, fake: FakeRouter) -> None:
    house.in_flight["a"] = 1


def have_no_room(house: House, fake: FakeRouter) -> None:
    fake.answers[LOAD] = (500, {"error": {"message": "model limit reached, try again later"}})


def fail(house: House, fake: FakeRouter) -> None:
    fake.answers[LOAD] = (500, {"error": {"message": "broken"}})


def take_no_other(house: House, fake: FakeRouter) -> None:
    refuse(fake, house, "top-k")


def read_nothing(house: House, fake: FakeRouter) -> None:
    def list_otherwise() -> None:
        fake.states["a"]["source"] = "models_dir"

    fake.on_reload = list_otherwise


@contextlib.contextmanager
def when_it_has_read(fake: FakeRouter, then: Callable[[], None]) -> Iterator[None]:
    """What happens as soon as the router has read the file."""
    read = fake.on_reload

    def read_first() -> None:
        read()
        then()

    fake.on_reload = read_first
    try:
        yield
    finally:
        fake.on_reload = read


@pytest.mark.parametrize("hinder", [use, have_no_room, fail, take_no_other, read_nothing])
async def test_everything_is_as_it_was(
    house: House, fake: FakeRouter, hinder: Callable[[House, FakeRouter], None]
) -> None:
    house.shelf = board = Board()
    async with house.run() as models:
        await house.register("a", options=OWN)
        before = models._parts.registry.models, board.documents["a"], house.preset.read_text()
        hinder(house, fake)
        with pytest.raises(ModelsError):
            await models.load("a", CHANGE)
        assert (models._parts.registry.models, board.documents["a"], house.preset.read_text()) == before
        assert models.get("a").status is Status.STOPPED
        assert not models._parts.wanted.is_stale("a")


async def test_listeners_hear_how_it_is_in_the_end(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=OWN)
        fail(house, fake)
        with pytest.raises(ModelsError):
            await models.load("a", CHANGE)
        assert house.events[-1].model == models.get("a")


async def test_what_the_router_does_not_hear_of_now_it_hears_later(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load is refused, and then the router is silent for a while."""
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.02)
    async with house.run() as models:
        await house.register("a", options=OWN)

        fail(house, fake)
        with when_it_has_read(fake, lambda: fake.answers.update({RELOAD: (401, {})})), pytest.raises(ModelsError):
            await models.load("a", CHANGE)
        assert models._parts.keeper.is_unread
        fake.answers.clear()
        await house.until(lambda: not models._parts.keeper.is_unread)


async def test_a_request_that_comes_meanwhile_keeps_nothing_for_ever(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.02)
    async with house.run() as models:
        await house.register("a", options=OWN)
        before = house.preset.read_text()

        fail(house, fake)
        with when_it_has_read(fake, lambda: use(house, fake)), pytest.raises(ModelsError):
            await models.load("a", CHANGE)
        assert house.preset.read_text() != before
        house.in_flight.clear()
        await house.until(lambda: house.preset.read_text() == before)


async def test_when_it_is_not_known_whether_it_is_under_way_its_options_stay(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.02)
    async with house.run() as models:
        await house.register("a", options=OWN)
        fake.answers[RELOAD] = (401, {})
        with pytest.raises(UnavailableError):
            await models.load("a", CHANGE)
        registered = models.get("a").registered
        assert registered is not None
        assert registered.options == {"temperature": 0.7, "top_k": 5}
        fake.answers.clear()
        await house.until(lambda: not models._parts.keeper.is_unread)


async def test_one_that_was_not_registered_is_not(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        have_no_room(house, fake)
        with pytest.raises(ConflictError, match="no room"):
            await models.load("known", {"temperature": 0.5})
        assert models._parts.registry.models == {}
        assert "[known]" not in house.preset.read_text()


async def test_options_are_set_and_removed_in_one_step(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=OWN)
        fake.asked.clear()
        await models.load("a", CHANGE)
        await house.settle("a", Status.RUNNING)
        registered = models.get("a").registered
        assert registered is not None
        assert registered.options == {"temperature": 0.7, "top_k": 5}
        assert fake.asked == [f"GET {RELOAD}", f"POST {LOAD} a"], "the file is written and read once"
        fake.asked.clear()
        await models.load("a", {"ctx_size": None, "top_p": None})
        assert (models.get("a").registered, fake.asked) == (registered, []), "it has no value of its own"


async def test_the_file_is_written_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.run() as models:
        await house.register("a", options=OWN)
        written, write = list[str](), preset.write

        def note(path: Path, text: str) -> None:
            written.append(text)
            write(path, text)

        monkeypatch.setattr(preset, "write", note)
        await models.load("a", CHANGE)
        assert written == [house.preset.read_text()]
        assert "ctx-size" not in written[0]


async def test_what_is_no_option_cannot_be_removed(house: House) -> None:
    async with house.run() as models:
        await house.register("a", options=OWN)
        wrong: dict[str, Any] = {"n_ctxx": None, "top_k": -1.5, "n_ctx": None}
        with pytest.raises(InvalidError) as raised:
            await models.load("a", wrong)
        assert list(raised.value.fields) == ["n_ctxx", "top_k"]


async def test_of_a_model_that_runs_elsewhere_nothing_can_be_removed(house: House) -> None:
    house.home, house.servers = None, served()
    async with house.run() as models:
        await house.register("a", options=OWN)
        with pytest.raises(ConflictError, match="cannot be changed while it runs"):
            await models.load("a", {"n_ctx": None})
        assert (await models.load("a", {"top_k": None})).status is Status.RUNNING
