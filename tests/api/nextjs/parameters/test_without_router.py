"""One llama-server with one model, and none in router mode: parameters can be kept, and no load will ever use them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exporter.api.nextjs.configuration.changes import NO_ROUTER
from exporter.models.server.managed import ManagedServer, ServerStatus
from tests.api.nextjs.stand import BrittleShelf, Stand
from tests.api.synapse.desk import model, seen, server
from tests.models.house import House
from tests.models.real_router import write_models
from tests.telemetry.examples import HOST


@contextlib.asynccontextmanager
async def alone(folder: Path, *loaded: str) -> AsyncIterator[Stand]:
    root = folder / "models"
    write_models(root, ("a",))
    snapshot = seen(*(server(f"Q{number}", model(name)) for number, name in enumerate(loaded)), host=HOST)
    house = House(root, folder / "models.ini", None, servers=dict(snapshot.servers))
    async with house.run() as models:
        stand = Stand(root, models, house.runtime, BrittleShelf(), house)
        yield stand.open()


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with alone(tmp_path, "tiny") as made:
        yield made


async def change(stand: Stand, method: str, path: str, body: object) -> tuple[bool, list[str]]:
    answer = await stand.ask(method, path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["requiresRestart"], answer.json()["restart"]


async def test_changes_of_parameters_say_that_it_must_be_started_anew(stand: Stand) -> None:
    told = (True, [NO_ROUTER])
    assert await change(stand, "POST", "/api/parameters/model", {"parameters": {"temperature": 0.1}}) == told
    assert await change(stand, "POST", "/api/config", {"llama_config": {"n_ctx": 512}}) == told
    assert await change(stand, "POST", "/api/config", {"serverConfig": {"ctx_size": 1024}}) == told
    assert await change(stand, "PUT", "/api/models/tiny", {"parameters": {"n_ctx": 2048}}) == told


async def test_what_changes_no_parameter_needs_no_restart(stand: Stand) -> None:
    nothing: tuple[bool, list[str]] = (False, [])
    assert await change(stand, "POST", "/api/parameters/model", {"parameters": {"temperature": 0.8}}) == nothing
    assert await change(stand, "POST", "/api/config", {"update_intervals": {"metrics": 500}}) == nothing
    assert await change(stand, "PUT", "/api/models/tiny", {"description": "for the night shift"}) == nothing


async def test_nothing_that_is_loaded_needs_none(tmp_path: Path) -> None:
    async with alone(tmp_path) as stand:
        body = {"parameters": {"temperature": 0.1}}
        assert await change(stand, "POST", "/api/parameters/model", body) == (False, [])


async def test_one_that_the_sidecar_runs_takes_parameters(stand: Stand) -> None:
    stand.server = ManagedServer(ServerStatus.STARTING, 0, None, None, None)
    assert await change(stand, "POST", "/api/config", {"llama_config": {"n_ctx": 512}}) == (False, [])


async def test_an_answer_that_can_be_shown(stand: Stand) -> None:
    answer: httpx.Response = await stand.ask("PUT", "/api/models/tiny", json={"parameters": {"n_ctx": 512}})
    assert "router mode" in answer.json()["restart"][0]
