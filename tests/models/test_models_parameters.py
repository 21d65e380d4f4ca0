"""Parameters of all models: in force with the router and kept, or neither."""

from __future__ import annotations

import pytest

from exporter.models.model import FailedError, Registered, Status
from exporter.models.router import watch
from exporter.models.router.router import RefusedError
from exporter.models.sections import make
from tests.models.fake_router import FakeRouter
from tests.models.house import House, refuse
from tests.models.shelves import Board


async def test_parameters_that_the_router_does_not_take_leave_it_as_it_was(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        shelf = house.runtime._shelf = Board()
        before, settings = house.preset.read_text(), house.runtime.current
        refuse(fake, house, "temperature")
        for change in (house.runtime.change({"options": {"temperature": 0.5}}), models.load("a", {"temperature": 0.5})):
            with pytest.raises(RefusedError, match="option 'temperature' not recognized"):
                await change
            assert (house.preset.read_text(), house.runtime.current, shelf.documents) == (before, settings, {})
        await house.register("b")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        assert models.problem is None
        await house.runtime.change({"options": {"top_k": 5}})
        assert house.preset.read_text().count("top-k = 5") == 1, "that of the model that is loaded has to wait"
        assert (models.get("a").outdated, house.runtime.current.options) == (True, {"top_k": 5})


async def test_parameters_that_cannot_be_kept_are_taken_back(house: House, fake: FakeRouter) -> None:
    async with house.run():
        await house.register("a")
        before = house.preset.read_text()
        shelf = house.runtime._shelf = Board()
        shelf.away = True
        with pytest.raises(FailedError, match="could not be saved"):
            await house.runtime.change({"options": {"temperature": 0.5}})
        assert house.runtime.current.options == {}
        await house.until(lambda: house.preset.read_text() == before)


async def test_while_no_router_answers_parameters_are_taken_as_they_are(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HASTY_SECONDS", 0.05)
    async with house.run():
        await house.register("a")
        await fake.stop()
        await house.runtime.change({"options": {"temperature": 0.5}})
        assert house.runtime.current.options == {"temperature": 0.5}
        await house.until(lambda: "temperature = 0.5" in house.preset.read_text())


def test_an_option_that_cannot_be_had_is_left_out_of_a_section_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registered = Registered("a", path="/models/a.gguf", options={"n_ctx": 512, "top_p": 7.0})
    assert make(registered, {"temperature": 99.0}) == {"model": "/models/a.gguf", "ctx-size": "512"}
    assert [record.message for record in caplog.records] == ["options of a model are left out"]
