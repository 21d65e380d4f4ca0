"""Indexes and a Redis beside the models, as a whole sidecar shows them in JSON and in Prometheus text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.sidecar import Sidecar
from tests.system.redis_server import RedisServer

pytest.importorskip("redis", reason="needs the extra: pip install 'llama-exporter[redis]'")

SECRET = "open-sesame"


def test_both_are_shown_alike_and_no_password_is_told(find_port: Callable[[], int], tmp_path: Path) -> None:
    (tmp_path / "docs.index").write_bytes(b"x" * 12345)
    with RedisServer(find_port(), tmp_path, password=SECRET) as redis:
        environment = {
            "LLAMA_EXPORTER_SAMPLING__INDEX_PATHS": str(tmp_path / "docs.index"),
            "LLAMA_EXPORTER_SAMPLING__REDIS_URL": redis.url,
            "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "0.5",
        }
        with Sidecar("--upstream", f"http://127.0.0.1:{find_port()}", environment=environment) as sidecar:
            sidecar.wait_until(lambda: "llm_redis_used_memory_bytes " in httpx.get(f"{sidecar.admin}/metrics").text)
            sidecar.wait_until(lambda: resources(sidecar)["faissIndexSize"] == 12345)
            used = resources(sidecar)["redisCacheSize"]
            assert isinstance(used, int)
            assert 100_000 < used < 50_000_000
            assert "llm_index_size_bytes 12345.0" in httpx.get(f"{sidecar.admin}/metrics").text
            assert sidecar.stop() == 0
        assert SECRET not in str(sidecar.log)


def test_neither_is_shown_where_none_is_configured(find_port: Callable[[], int]) -> None:
    with Sidecar("--upstream", f"http://127.0.0.1:{find_port()}") as sidecar:
        found = resources(sidecar)
        assert (found["faissIndexSize"], found["redisCacheSize"]) == (0, 0)
        text = httpx.get(f"{sidecar.admin}/metrics").text
        assert "llm_index" not in text
        assert "llm_redis" not in text


def resources(sidecar: Sidecar) -> dict[str, object]:
    answer = httpx.get(f"{sidecar.admin}/api/metrics/resources")
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found
