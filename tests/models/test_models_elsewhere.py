"""Models that other servers have than the home router."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.models.model import (
    ConflictError,
    Kind,
    Status,
)
from exporter.models.router.watch import Home
from exporter.system.snapshot import ModelState, ServerState
from tests.models.fake_router import FakeRouter
from tests.models.house import UPSTREAM, House, served
from tests.models.real_router import write_models


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Without a router."""
    write_models(tmp_path / "models", ("a", "b"))
    return House(tmp_path / "models", tmp_path / "models.ini")


async def test_a_server_with_one_model_is_found_by_the_name_of_its_file(house: House) -> None:
    house.servers = served()
    house.last_used["served"] = 1e9
    async with house.run() as models:
        found = models.get("served")
        assert [model.name for model in models.all()] == ["served"]
        assert models.get("also") == found
        assert (found.status, found.upstream, found.last_used_at) == (Status.RUNNING, "one", 1e9)
        await house.register("a", "b")
        assert [(model.name, model.status) for model in models.all()] == [("a", Status.RUNNING), ("b", Status.STOPPED)]
        a = models.get("a")
        assert (a.upstream, a.context_size, a.registered is not None) == ("one", 512, True)
        assert models.get("also") == a
        assert await models.load("a", {}) == a
        for refused in (models.load("a", {"n_ctx": 512}), models.load("b", {}), models.unload("a")):
            with pytest.raises(ConflictError):
                await refused
        house.in_flight["served"] = 1
        assert (models.get("a").last_used_at or 0) > 1e9


async def test_what_becomes_of_other_servers_is_told(house: House) -> None:
    async with house.run() as models:
        await house.register("a")
        for state, model in (
            (ServerState.LOADING, ModelState.LOADING),
            (ServerState.READY, ModelState.LOADED),
            (ServerState.BUSY, ModelState.SLEEPING),
            (ServerState.UNREACHABLE, ModelState.LOADED),
            (ServerState.READY, ModelState.FAILED),
        ):
            house.servers = served(state, model)
            models._parts.watch.looked()
            assert house.events[-1].model == models.get("a")
        kinds = [Kind.LOADING, Kind.LOADED, Kind.CHANGED, Kind.UNLOADED, Kind.FAILED]
        assert house.told("a") == [(kind, "a") for kind in (Kind.CHANGED, *kinds)]
        house.servers = {}
        models._parts.watch.looked()
        assert models.get("a").status is Status.STOPPED


async def test_of_two_servers_with_a_model_the_one_that_has_it_loaded_counts(house: House) -> None:
    up, down = served()["one"], served(ServerState.UNREACHABLE)["one"]
    async with house.run() as models:
        await house.register("a")
        for servers in ({"first": down, "second": up}, {"second": up, "first": down}):
            house.servers = servers
            assert [(model.name, model.status, model.upstream) for model in models.all()] == [
                ("a", Status.RUNNING, "second")
            ]


async def test_what_was_sampled_of_the_home_does_not_count(house: House) -> None:
    async with FakeRouter({"known": {"value": "unloaded"}}).run() as fake:
        house.home = Home(UPSTREAM, fake.url)
        house.servers = {UPSTREAM: served()["one"]}
        async with house.run() as models:
            assert [model.name for model in models.all()] == ["known"]


async def test_what_a_server_has_that_cannot_unload_it_can_be_removed_from_the_registry(house: House) -> None:
    house.servers = served()
    async with house.run() as models:
        await house.register("a")
        assert (models.get("a").status, models.get("a").upstream) == (Status.RUNNING, "one")
        assert (await models.remove("a")).name == "a"
        assert [each.name for each in models.all()] == ["served"]
