"""What is begun is done to its end, also when nobody waits for it; and what waits for what an earlier run has kept."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from exporter.models import turns, upkeep
from exporter.models.model import Kind
from exporter.models.registry import write
from exporter.models.router.router import RefusedError
from tests.models.house import House
from tests.models.real_router import write_models
from tests.models.shelves import A, Board


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without a router."""
    write_models(tmp_path / "models", ("a",))
    return House(tmp_path / "models", tmp_path / "models.ini")


@pytest.mark.parametrize("refusal", [None, RefusedError("no")])
async def test_a_change_is_made_or_undone_also_when_nobody_waits_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: RefusedError | None
) -> None:
    async with house.run() as models:
        await house.until(lambda: not models._turns._lock.locked())
        keeper, begun, go = models._parts.keeper, asyncio.Event(), asyncio.Event()
        apply = keeper.apply

        async def wait(*arguments: Any) -> Any:
            begun.set()
            await go.wait()
            if refusal is not None:
                raise refusal
            return await apply(*arguments)

        monkeypatch.setattr(keeper, "apply", wait)
        change = asyncio.ensure_future(house.register("a"))
        await begun.wait()
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert [model.name for model in models.all()] == ["a"]
        go.set()
        if refusal is None:
            await house.until(lambda: "[a]" in house.preset.read_text() and house.told() == [(Kind.CHANGED, "a")])
        else:
            await house.until(lambda: models.all() == [] and not turns._unattended)
            gc.collect()
            assert "never retrieved" not in caplog.text


async def test_it_can_be_awaited_that_it_is_known_what_there_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "STORE_SECONDS", 0.01)
    board = Board({A.name: write(A)})
    board.away, house.shelf = True, board
    async with house.run(ready=False) as models:
        restored = asyncio.ensure_future(models.restored())
        await asyncio.sleep(0.05)
        assert (restored.done(), models.is_restored) == (False, False)
        board.away = False
        await restored
        assert models.is_restored
        assert [model.name for model in models.all()] == [A.name]
