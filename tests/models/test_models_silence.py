"""Orders while the router says nothing: nobody waits for long, and nothing is taken for gone."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from exporter.models import turns, upkeep
from exporter.models.model import Status, UnavailableError
from exporter.models.router import router, watch
from tests.models.fake_router import FakeRouter
from tests.models.house import House

LIST, UNLOAD = "/models", "/models/unload"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "HASTY_SECONDS", 0.05)
    monkeypatch.setattr(upkeep, "RETRY_SECONDS", 0.05)


async def test_of_a_router_that_is_silent_nothing_is_asked(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.run() as models:
        await house.register("a")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        await house.until(lambda: models._parts.watch.hears)
        before = house.preset.read_text()
        fake.held[LIST] = asyncio.Event()
        monkeypatch.setattr(router, "LIST_SECONDS", 0.2)
        await house.until(lambda: models._parts.watch._silence is not None)
        fake.asked.clear()
        for order in (models.load("known", {}), models.load("a", {"n_ctx": 512}), models.unload("a", force=True)):
            with pytest.raises(UnavailableError, match="timed out"):
                await order
        await house.register("b")
        await house.runtime.change({"options": {"top_k": 5}})
        assert (fake.asked, house.preset.read_text()) == ([], before)
        assert models.get("a").status is Status.RUNNING
        monkeypatch.setattr(router, "LIST_SECONDS", 5.0)
        fake.held.pop(LIST).set()
        await house.until(lambda: "[b]" in house.preset.read_text())
        await models.unload("a", force=True)
        await house.settle("a", Status.STOPPED)


async def test_nobody_waits_long_for_a_turn(house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.05)
    async with house.run() as models:
        await models.load("known", {})
        await house.settle("known", Status.RUNNING)
        fake.held[UNLOAD] = asyncio.Event()
        unload = asyncio.ensure_future(models.unload("known"))
        await house.until(lambda: f"POST {UNLOAD} known" in fake.asked)
        for order in (
            models.load("known", {}),
            models.unload("known", force=True),
            house.register("a"),
            house.runtime.change({"options": {"top_k": 5}}),
        ):
            with pytest.raises(UnavailableError, match="still under way"):
                await order
        fake.held[UNLOAD].set()
        await unload
        await house.settle("known", Status.STOPPED)
        await house.register("a")
        assert [model.name for model in models.all()] == ["a", "known"]
        assert house.runtime.current.options == {}


@pytest.mark.parametrize(
    ("error", "looks", "status"),
    [
        (httpx.ConnectTimeout(""), 1, Status.RUNNING),
        (httpx.ConnectTimeout(""), watch.SILENT_LOOKS, Status.STOPPED),
        (OSError(24, "Too many open files"), 2 * watch.SILENT_LOOKS, Status.RUNNING),
        (ConnectionRefusedError(), 1, Status.STOPPED),
    ],
)
async def test_what_is_loaded_is_gone_when_nobody_listens_any_more_and_not_before(
    house: House, fake: FakeRouter, monkeypatch: pytest.MonkeyPatch, error: Exception, looks: int, status: Status
) -> None:
    async with house.run() as models:
        await house.register("a")
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
        monkeypatch.setattr(watch, "LOOK_SECONDS", 60)
        monkeypatch.setattr(watch, "HASTY_SECONDS", 60)

        async def fail(*arguments: object) -> None:
            if isinstance(error, httpx.TransportError):
                raise error
            raise httpx.ConnectError("") from error

        await house.until(lambda: models._parts.watch.hears)
        monkeypatch.setattr(router.Router, "_fetch", fail)
        models._parts.watch._silent_looks = 0
        for _ in range(looks):
            with pytest.raises(UnavailableError):
                await models._parts.watch.look()
        assert models.get("a").status is status
        before = house.preset.read_text()
        await models.update("a", {"options": {"n_ctx": 512}})
        assert (house.preset.read_text() == before) is not isinstance(error, ConnectionRefusedError)
