"""What a real router has loaded is not cut by a preset file that changes, whoever had it loaded."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.models.model import Status
from exporter.models.preset import preset
from exporter.models.preset.keeper import PresetKeeper
from exporter.models.router.watch import Home
from tests.models.house import UPSTREAM, House
from tests.models.managing import make_launch, managing, shorten_pauses
from tests.models.preset.test_keeping import after_writing, quiet, sections
from tests.models.real_router import RealRouter, router_binary

pytestmark = pytest.mark.router

SMALL: dict[str, Any] = {"n_ctx": 512, "parallel": 1, "threads": 1}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[RealRouter]:
    with RealRouter(router_binary(), tmp_path) as router:
        yield router


@pytest.fixture
def house(router: RealRouter, tmp_path: Path) -> House:
    return House(tmp_path / "models", router.preset, Home(UPSTREAM, router.url))


async def test_another_registry_cuts_nothing(house: House, router: RealRouter) -> None:
    async with house.run() as models:
        await house.register("a", options=SMALL)
        await models.load("a", {})
        await house.settle("a", Status.RUNNING)
    process = router.child("a").pid
    async with house.run() as models:
        await house.register("b", options=SMALL)
        await quiet(house)
        assert (router.child("a").pid, router.states()) == (process, {"a": "loaded", "b": "unloaded"})
        await models.unload("a")
        await house.until(lambda: router.states() == {"b": "unloaded"})


async def test_a_model_that_a_request_loads_while_the_file_is_written_is_not_cut(
    house: House, router: RealRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.run() as models:
        await house.register("a", "b", options=SMALL)
        await quiet(house)
        after_writing(monkeypatch, lambda: router.chat("a"))
        await house.runtime.change({"options": {"top_k": 5}})
        assert router.states() == {"a": "loaded", "b": "unloaded"}
        assert models.get("a").outdated
        assert ("top-k" in sections(house)["a"], sections(house)["b"]["top-k"]) == (False, "5")
        await models.unload("a")
        await house.until(lambda: "top-k = 5" in str(router.listed()["a"]["status"]["preset"]))


@pytest.mark.parametrize("content", [None, "", "garbage\n"])
async def test_the_managed_one_is_started_with_what_we_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path))
    path = tmp_path / "models.ini"
    path.write_text(preset.render({"a": {"model": "/a.gguf"}}))
    keeper = PresetKeeper(path, "one")
    await keeper.open()
    launch = make_launch(router_binary(), tmp_path, restore_preset=keeper.restore)
    async with managing(launch) as running:
        await running.until_ready()
        before = path.read_text()
        path.unlink()
        if content is not None:
            path.write_text(f"{preset.MARK}\n{content}" if content else "")
        os.kill(running.pid, signal.SIGKILL)
        await running.until_ready(2)
        assert path.read_text() == before
        assert running.managed.server().restarts == 1
