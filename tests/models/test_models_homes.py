"""Which router loads go to, and how long it stays that one."""

from __future__ import annotations

import pytest

from exporter.models.model import ConflictError, Status, UnavailableError
from exporter.models.router import watch
from exporter.models.router.watch import Home
from tests.models.fake_router import FakeRouter
from tests.models.house import UPSTREAM, House


async def test_another_home_has_other_models_and_takes_the_place_of_one_that_is_none_any_more(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "HASTY_SECONDS", 0.05)
    async with FakeRouter({"elsewhere": {"value": "loaded"}}).run() as other, house.run() as models:
        assert [model.name for model in models.all()] == ["known"]
        await fake.stop()
        house.home = Home("another", other.url)
        await house.until(lambda: not house.has_router)
        for _ in range(3):
            with pytest.raises(UnavailableError, match="connection refused"):
                await models._parts.watch.look()
        assert [(model.name, model.upstream) for model in models.all()] == [("known", UPSTREAM)]
        with pytest.raises(UnavailableError, match="connection refused"):
            await models.load("known", {})
        fake.answers["/models"] = (200, {"object": "list", "data": [{"id": "the only one"}]})
        await fake.start()
        await house.until(lambda: [model.name for model in models.all()] == ["elsewhere"])
        assert models.get("elsewhere").upstream == "another"
        await house.until(lambda: other.listeners == 1)
        other.states["elsewhere"]["value"] = "unloaded"
        other.tell("elsewhere", {"status": "unloaded", "exit_code": 0})
        await house.until(lambda: models.get("elsewhere").status is Status.STOPPED)


async def test_a_home_stays_the_home_while_it_is_away_and_is_none_when_it_is_no_router(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "HASTY_SECONDS", 0.05)
    async with house.run() as models:
        await fake.stop()
        await house.until(lambda: not house.has_router)
        house.home = None
        with pytest.raises(UnavailableError, match="connection refused"):
            await models.load("known", {})
        assert models.get("known").upstream == UPSTREAM
        fake.answers["/models"] = (200, {"object": "list", "data": [{"id": "the only one"}]})
        await fake.start()
        await house.until(lambda: not models.all())
        await house.register("a")
        with pytest.raises(ConflictError, match="--manage-llama-server"):
            await models.load("a", {})
        house.home = Home(UPSTREAM, fake.url)
        with pytest.raises(ConflictError, match="not in router mode"):
            await models.load("a", {})
