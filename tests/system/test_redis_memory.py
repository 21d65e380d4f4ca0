from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="needs the extra: pip install 'llama-exporter[redis]'")

from exporter.errors import CollectorError, StartupError
from exporter.system.redis_memory import RedisCollector, read_memory
from exporter.system.sampler import AsyncCollector, Sampler
from exporter.system.snapshot import RedisSnapshot
from tests.system.redis_server import RedisServer

SECRET = "open-sesame"


@asynccontextmanager
async def collecting(url: str, **options: float) -> AsyncIterator[RedisCollector]:
    collector = RedisCollector(url, **options)
    try:
        yield collector
    finally:
        await collector.close()


def clients(redis: RedisServer) -> int:
    """Connections to it, without the one that asks."""
    (line,) = (line for line in redis.ask("INFO", "clients").splitlines() if line.startswith("connected_clients:"))
    return int(line.removeprefix("connected_clients:")) - 1


async def failure(collector: RedisCollector) -> str:
    with pytest.raises(CollectorError) as raised:
        await collector.collect()
    assert raised.value.__cause__ is None
    return str(raised.value)


async def test_it_is_what_redis_says_and_grows_with_what_it_holds(free_port: int, tmp_path: Path) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        async with collecting(redis.url) as collector:
            assert (collector.name, collector.longest_interval_seconds) == ("redis", math.inf)
            before = (await collector.collect()).used_memory_bytes
            assert 100_000 < before < 50_000_000
            redis.ask("SETRANGE", "cache", "4999999", "x")
            grown = (await collector.collect()).used_memory_bytes - before
            assert 4_900_000 < grown < 25_000_000


async def test_one_connection_is_kept_and_closed_at_the_end(free_port: int, tmp_path: Path) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        async with collecting(redis.url) as collector:
            for _ in range(3):
                await collector.collect()
            assert clients(redis) == 1
        async with asyncio.timeout(5):
            while clients(redis):
                await asyncio.sleep(0.01)


async def test_it_is_sampled_and_closed_by_the_sampler(free_port: int, tmp_path: Path) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        polled: AsyncCollector = RedisCollector(redis.url)
        sampler = Sampler([polled])
        snapshot = await sampler.sample_once()
        assert snapshot.redis is not None
        assert snapshot.redis.used_memory_bytes > 0
        assert snapshot.collectors["redis"].success
        await sampler.close()
        async with asyncio.timeout(5):
            while clients(redis):
                await asyncio.sleep(0.01)


async def test_a_password_is_used_and_never_said(
    free_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(free_port, tmp_path, password=SECRET) as redis, caplog.at_level(logging.DEBUG):
        async with collecting(redis.url) as collector:
            assert (await collector.collect()).used_memory_bytes > 0
        for wrong in (f"redis://:not-{SECRET}@127.0.0.1:{free_port}", f"redis://127.0.0.1:{free_port}"):
            async with collecting(wrong) as collector:
                assert await failure(collector) == "Redis refuses the name or the password"
        sampler = Sampler([RedisCollector(f"redis://:not-{SECRET}@127.0.0.1:{free_port}")])
        snapshot = await sampler.sample_once()
        await sampler.close()
    assert snapshot.collectors["redis"].error == "Redis refuses the name or the password"
    assert snapshot.redis is None
    told = " ".join(str(vars(record)) for record in caplog.records)
    assert "a collector failed" in told
    assert SECRET not in told
    assert str(free_port) not in told


async def test_a_user_who_may_ask_nothing_but_info_is_enough(free_port: int, tmp_path: Path) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        redis.ask("ACL", "SETUSER", "monitor", "on", f">{SECRET}", "-@all", "+info")
        redis.ask("ACL", "SETUSER", "nobody", "on", f">{SECRET}", "-@all")
        async with collecting(redis.url.replace("//", f"//monitor:{SECRET}@")) as collector:
            assert (await collector.collect()).used_memory_bytes > 0
        async with collecting(redis.url.replace("//", f"//nobody:{SECRET}@")) as collector:
            assert await failure(collector) == "Redis does not let this user ask INFO"


async def test_a_restart_between_two_samples_is_not_noticed_and_one_during_them_is_got_over(
    free_port: int, tmp_path: Path
) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        async with collecting(redis.url) as collector:
            await collector.collect()
            redis.stop()
            redis.start()
            assert (await collector.collect()).used_memory_bytes > 0
            redis.stop()
            for _ in range(2):
                assert await failure(collector) == "Redis cannot be reached"
            redis.start()
            assert (await collector.collect()).used_memory_bytes > 0


async def test_one_that_hangs_is_given_up_and_its_late_answer_is_never_taken_for_another(
    free_port: int, tmp_path: Path
) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        async with collecting(redis.url, limit_seconds=0.2) as collector:
            await collector.collect()
            redis.freeze()
            for _ in range(2):
                assert await failure(collector) == "Redis does not answer in time"
            redis.thaw()
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert (await collector.collect()).used_memory_bytes > 0
                    except CollectorError:  # the machine is slow: 0.2 s are not much
                        continue
                    break


async def test_cancelled_in_the_middle_it_begins_anew(free_port: int, tmp_path: Path) -> None:
    with RedisServer(free_port, tmp_path) as redis:
        async with collecting(redis.url) as collector:
            await collector.collect()
            redis.freeze()
            with pytest.raises(TimeoutError):  # ours, not the collector's
                async with asyncio.timeout(0.05):
                    await collector.collect()
            redis.thaw()
            assert (await collector.collect()).used_memory_bytes > 0


async def test_who_is_not_redis_is_not_taken_for_it(free_port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", free_port)
    async with server, collecting(f"redis://127.0.0.1:{free_port}") as collector:
        assert await failure(collector) in {"Redis cannot be reached", "Redis answers, but not as it should"}


@pytest.mark.parametrize("info", [{}, {"used_memory": "1M"}, {"used_memory": -1}, {"used_memory": None}])
def test_an_answer_without_the_figure_is_a_failure(info: dict[str, object]) -> None:
    with pytest.raises(CollectorError, match="does not say"):
        read_memory(info)
    assert read_memory({"used_memory": 17}) == RedisSnapshot(17)


@pytest.mark.parametrize("url", ["redis://:open/sesame@127.0.0.1:6379", "redis://127.0.0.1:port"])
def test_what_is_no_url_is_one_line_without_the_url(url: str) -> None:
    with pytest.raises(StartupError) as raised:
        RedisCollector(url)
    assert str(raised.value).startswith("sampling.redis_url: must be redis://")
    assert not {"sesame", "open", "port'"} & set(str(raised.value).split())


def test_without_the_extra_the_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(StartupError, match=r"sampling\.redis_url needs the extra `redis`: pip install") as raised:
        RedisCollector("redis://127.0.0.1")
    assert "\n" not in str(raised.value)
