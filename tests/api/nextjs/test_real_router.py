"""The routes over a real llama-server in router mode: what is answered is what has happened."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exporter.models.model import Status
from exporter.models.router.watch import Home
from tests.api.nextjs.stand import BrittleShelf, Stand
from tests.api.synapse.desk import RealClock
from tests.models.house import UPSTREAM, House
from tests.models.real_router import RealRouter, router_binary

pytestmark = pytest.mark.router


@contextlib.asynccontextmanager
async def managing_really(folder: Path) -> AsyncIterator[tuple[Stand, RealRouter]]:
    with RealRouter(router_binary(), folder) as router:
        house = House(folder / "models", router.preset, Home(UPSTREAM, router.url))
        async with house.run() as models:
            stand = Stand(folder / "models", models, house.runtime, BrittleShelf(), house, clock=RealClock())
            yield stand.open(), router


async def context_of(router: RealRouter, name: str) -> int:
    """What llama-server itself says."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{router.url}/props", params={"model": name, "autoload": "false"})
    size: int = answer.json()["default_generation_settings"]["n_ctx"]
    return size


async def test_from_file_to_model_and_back(tmp_path: Path) -> None:
    async with managing_really(tmp_path) as (stand, router):
        assert stand.house is not None
        found = await stand.post("/api/models/discover")
        await stand.post("/api/models", {"models": found["discovered"]})
        begun = await stand.post("/api/models/a/load", {"config": {"n_ctx": 2048}}, 202)
        assert (begun["status"], begun["message"]) == ("loading", "Model loading initiated")
        await stand.house.settle("a", Status.RUNNING)
        assert await context_of(router, "a") == 2048
        shown = await stand.get("/api/models/a")
        assert (shown["status"], shown["contextSize"], shown["outdated"]) == ("running", 2048, False)

        changed = await stand.post("/api/parameters/performance", {"parameters": {"n_ctx": 1024}})
        assert changed["requiresRestart"] is False, "it has a value of its own"
        changed = await stand.post("/api/parameters/model", {"parameters": {"temperature": 0.5}})
        assert changed["restart"] == ["model a: it runs with other parameters; load it again"]

        started = await stand.post("/api/models/b/start")
        assert (started["status"], started["data"]["status"]) == ("loaded", "running")
        assert await context_of(router, "b") == 1024
        assert (await stand.ask("DELETE", "/api/models/b")).status_code == 409
        assert (await stand.post("/api/models/b/stop"))["status"] == "stopped"
        assert (await stand.post("/api/models/a/unload", status=202))["status"] == "unloading"
        await stand.house.settle("a", Status.STOPPED)
        assert (await stand.ask("DELETE", "/api/models/a")).status_code == 200


async def test_a_load_that_fails(tmp_path: Path) -> None:
    async with managing_really(tmp_path) as (stand, router):
        await stand.register("a")
        whole = router.models["a"].read_bytes()
        router.models["a"].write_bytes(whole[: len(whole) // 2])
        answer = await asyncio.wait_for(stand.ask("POST", "/api/models/a/start"), 60)
        assert answer.status_code == 500, answer.text
        assert answer.json()["error"].startswith("a could not be loaded: ")
        assert (await stand.get("/api/models/a"))["status"] == "error"
        router.models["a"].write_bytes(whole)
        assert (await stand.post("/api/models/a/start"))["status"] == "loaded"
