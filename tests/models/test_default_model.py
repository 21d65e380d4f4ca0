"""The model that is loaded by default: none any more when it is removed, and nothing else that somebody has chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from exporter.models.model import Document
from exporter.tasks import spawn
from tests.models.fake_router import FakeRouter
from tests.models.house import House
from tests.models.shelves import Board


class Slow(Board):
    """Keeps nothing before `gate` is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()

    async def put(self, documents: Mapping[str, Document]) -> None:
        self.asked.set()
        await self.gate.wait()
        await super().put(documents)


async def choose(house: House, name: str) -> None:
    await house.runtime.change({"default_model": name})


async def test_one_that_is_removed_is_none_any_more(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        await choose(house, "a")
        await models.remove("b")
        assert house.runtime.current.default_model == "a"
        await models.remove("a")
        assert house.runtime.current.default_model is None


async def test_the_same_while_the_router_is_away(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        await choose(house, "a")
        await fake.stop()
        await house.until(lambda: not house.has_router)
        await models.remove("a")
        assert house.runtime.current.default_model is None


async def test_one_that_the_router_has_by_itself_stays(house: House, fake: FakeRouter) -> None:
    fake.states["known"]["source"] = "cache"
    async with house.run() as models:
        await models.register([{"name": "known"}])
        fake.states["known"]["source"] = "cache"
        await models._parts.watch.look()
        await choose(house, "known")
        await models.remove("known")
        assert house.runtime.current.default_model == "known"


async def test_another_choice_that_is_being_kept_stays(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a", "b")
        await choose(house, "a")
        house.runtime._shelf = shelf = Slow()
        choosing = spawn(choose(house, "b"), name="choosing")
        await shelf.asked.wait()
        removing = spawn(models.remove("a"), name="removing")
        await house.until(lambda: "a" not in models._parts.registry)
        shelf.gate.set()
        await asyncio.gather(choosing, removing)
        assert house.runtime.current.default_model == "b"


async def test_a_model_is_removed_though_the_settings_cannot_be_kept(house: House, fake: FakeRouter) -> None:
    async with house.run() as models:
        await house.register("a")
        await choose(house, "a")
        house.runtime._shelf = shelf = Board()
        shelf.away = True
        assert (await models.remove("a")).name == "a"
        assert house.runtime.current.default_model == "a"
