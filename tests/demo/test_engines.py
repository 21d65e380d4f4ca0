from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from exporter.demo.engine import EngineOptions
from exporter.demo.engines import SIZES, Engines, Size, engines_of
from exporter.errors import StartupError
from exporter.tasks import cancel, spawn


@pytest.fixture
def options(tiny_model: Path) -> dict[str, EngineOptions]:
    return {tier: EngineOptions(model=tiny_model, alias=f"tiny-{tier}", parallel=1) for tier in ("Q2", "Q3")}


@pytest.fixture
def alone(options: dict[str, EngineOptions]) -> dict[str, EngineOptions]:
    return {"Q3": options["Q3"]}


def models(url: str) -> list[str]:
    answer = httpx.get(f"{url}/v1/models", timeout=30, trust_env=False)
    return [model["id"] for model in answer.json()["data"]]


def children() -> dict[int, list[str]]:
    """Command lines of the processes that we have started ourselves and that are not gone; a stage of other tests goes
    on starting some."""
    return {child.pid: child.cmdline() for child in psutil.Process().children()}


def pid_of(alias: str) -> int:
    (pid,) = (pid for pid, line in children().items() if alias in line)
    return pid


async def watch(engines: Engines) -> None:
    async with asyncio.timeout(10):
        while True:
            engines.check()
            await asyncio.sleep(0.01)


async def test_killed_engine_comes_back_where_it_was_and_all_are_gone_after(options: dict[str, EngineOptions]) -> None:
    before = children()
    async with Engines(options) as engines:
        urls = engines.urls
        assert {tier: models(url) for tier, url in urls.items()} == {"Q2": ["tiny-Q2"], "Q3": ["tiny-Q3"]}
        await engines.kill("Q3")
        assert engines.urls == urls
        engines.check()
        with pytest.raises(httpx.ConnectError):
            models(urls["Q3"])
        assert models(urls["Q2"]) == ["tiny-Q2"]
        await engines.bring_back("Q3")
        assert engines.urls == urls
        assert models(urls["Q3"]) == ["tiny-Q3"]
    assert children() == before


async def test_killed_engine_says_nothing_more_to_its_clients(alone: dict[str, EngineOptions]) -> None:
    body = {"prompt": "the", "n_predict": 1900, "ignore_eos": True, "stream": True}
    async with (
        Engines(alone) as engines,
        httpx.AsyncClient(timeout=30, trust_env=False) as http,
        http.stream("POST", f"{engines.urls['Q3']}/completion", json=body) as answer,
    ):
        pieces = answer.aiter_raw()
        await anext(pieces)
        await engines.kill("Q3")
        with pytest.raises(httpx.TransportError):
            [piece async for piece in pieces]


async def test_engine_that_dies_by_itself_is_told(alone: dict[str, EngineOptions]) -> None:
    async with Engines(alone) as engines:
        psutil.Process(pid_of("tiny-Q3")).kill()
        with pytest.raises(StartupError, match=r"^the engine of Q3 died: "):
            await watch(engines)


async def test_engine_whose_port_was_taken_stays_away_until_it_is_free(alone: dict[str, EngineOptions]) -> None:
    async with Engines(alone) as engines:
        await engines.kill("Q3")
        url = httpx.URL(engines.urls["Q3"])
        with socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taker.bind((url.host, url.port or 0))
            taker.listen()
            with pytest.raises(StartupError, match="couldn't bind"):
                await engines.bring_back("Q3")
        engines.check()
        await engines.bring_back("Q3")
        assert models(str(url)) == ["tiny-Q3"]


async def test_engine_that_cannot_start_takes_the_others_with_it(
    options: Mapping[str, EngineOptions], tmp_path: Path
) -> None:
    before = children()
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(StartupError, match="the engine did not start"):
        async with Engines({**options, "Q4": EngineOptions(model=tmp_path / "broken.gguf")}):
            pytest.fail("it did start")
    assert children() == before


async def test_start_that_is_cancelled_leaves_nothing(options: dict[str, EngineOptions]) -> None:
    before = children()
    starting = spawn(Engines(options).__aenter__(), name="start")
    async with asyncio.timeout(10):
        while len(children()) < len(before) + 2:
            await asyncio.sleep(0.001)
    await cancel(starting)
    assert starting.cancelled()
    assert children() == before


def test_models_grow_with_their_tier_and_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs gguf: pip install 'llama-exporter[demo]'")
    assert [size.layers * size.embedding for size in SIZES] == sorted({size.layers * size.embedding for size in SIZES})
    sizes = (Size("Q2", 1, 32), Size("Q4", 2, 32))
    assert engines_of(sizes, tmp_path, parallel=3).models == {"Q2": "tiny-q2", "Q4": "tiny-q4"}
    assert len(list(tmp_path.iterdir())) == 2


async def test_the_cheapest_drafts_for_the_most_capable_only(tiny_model: Path, tmp_path: Path) -> None:
    sizes = (Size("Q2", 1, 32), Size("Q3", 1, 64), Size("Q4", 2, 64))
    body = {"prompt": "the server", "n_predict": 40, "ignore_eos": True}
    drafted = {}
    async with engines_of(sizes, tmp_path, parallel=1) as engines:
        for tier, url in engines.urls.items():
            answer = httpx.post(f"{url}/completion", json=body, timeout=30, trust_env=False).json()
            drafted[tier] = "draft_n" in answer["timings"]
    assert drafted == {"Q2": False, "Q3": False, "Q4": True}


async def test_an_engine_alone_has_nobody_to_draft_for_it(tiny_model: Path, tmp_path: Path) -> None:
    async with engines_of((Size("Q4", 1, 32),), tmp_path, parallel=1) as engines:
        (url,) = engines.urls.values()
        answer = httpx.post(f"{url}/completion", json={"prompt": "a", "n_predict": 9}, timeout=30, trust_env=False)
        assert "draft_n" not in answer.json()["timings"]
