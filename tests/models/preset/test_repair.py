"""What somebody else has done to the preset file is put right, as far as it is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from exporter.models.model import FailedError, Status
from exporter.models.preset import preset
from exporter.models.preset.keeper import PresetKeeper, Sections
from tests.models.fake_router import FakeRouter
from tests.models.house import House
from tests.models.preset.test_keeping import EARLIER, quiet, sections

LOAD, RELOAD = "/models/load", "/models?reload=1"


class Alone:
    """What is around a keeper: no router, and these sections."""

    has_router = False

    def __init__(self, *names: str) -> None:
        self.sections = {name: {"model": f"/{name}.gguf"} for name in names}

    def all(self) -> Sections:
        return self.sections

    def keep(self, sections: Sections) -> Sections:
        return sections

    async def look(self) -> None:
        raise NotImplementedError

    async def read(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("content", [None, "", EARLIER, f"{preset.HEADER}garbage\n"])
async def test_a_file_that_was_changed_behind_our_back_is_put_right(
    house: House, fake: FakeRouter, content: str | None
) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        await quiet(house)
        before = house.preset.read_text()
        repairs: list[Callable[[], Awaitable[object]]]
        repairs = [lambda: models.load("a", {}), lambda: asyncio.to_thread(models.restore_preset)]
        for repair in repairs:
            house.preset.unlink()
            if content is not None:
                house.preset.write_text(content)
            fake.asked.clear()
            await repair()
            assert house.preset.read_text() == before
            assert fake.asked in ([f"GET {RELOAD}", f"POST {LOAD} a"], [])
        assert models.problem is None


async def test_a_file_that_somebody_else_has_put_there_stays_until_he_takes_it_away(house: House) -> None:
    async with house.run() as models:
        await house.register("a")
        await quiet(house)
        house.preset.write_text("[mine]\nmodel = /mine.gguf\n")
        await house.register("b")
        assert "is not ours" in str(models.problem)
        for refused in (models.load("b", {}), asyncio.to_thread(models.restore_preset)):
            with pytest.raises(FailedError, match="is not ours"):
                await refused
        assert house.preset.read_text() == "[mine]\nmodel = /mine.gguf\n"
        house.preset.unlink()
        await models.load("b", {})
        await house.settle("b", Status.RUNNING)
        assert (sorted(sections(house)), models.problem) == (["a", "b"], None)


async def test_two_sidecars_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "models.ini"
    one, two = PresetKeeper(path, "one"), PresetKeeper(path, "two")
    for keeper in (one, two):
        await keeper.open()
    await one.apply(Alone("a"))
    await two.apply(Alone("b"))
    assert preset.parse(path.read_text()) == Alone("a").sections
    assert one.problem is None
    assert str(two.problem).startswith(f"{path} is written by another llama-exporter (one)")
    assert "models.preset_file" in str(two.problem)
    later = PresetKeeper(path, "two")
    await later.open()
    assert (later.in_force, later.problem) == ({}, two.problem)

    path.unlink()
    await two.apply(Alone("b"))
    assert preset.parse(path.read_text()) == two.in_force == Alone("b").sections
    assert two.problem is None
    again = PresetKeeper(path, "two")
    await again.open()
    assert again.in_force == two.in_force
