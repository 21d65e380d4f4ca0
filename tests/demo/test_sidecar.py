from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.demo.scrape import parse, total
from exporter.demo.sidecar import Address, Sidecar
from exporter.errors import StartupError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("localhost:8001", "http://localhost:8001"),
        (":8001", "http://127.0.0.1:8001"),
        ("0.0.0.0:8001", "http://127.0.0.1:8001"),
        ("[::]:8001", "http://[::1]:8001"),
        ("[::1]:8001", "http://[::1]:8001"),
    ],
)
def test_address_tells_how_to_reach_it(text: str, url: str) -> None:
    assert Address.parse(text).url == url


@pytest.mark.parametrize("text", ["8001", "localhost:", "::1:8001", "127.0.0.1:99999", "127.0.0.1:0"])
def test_unusable_address_is_one_clear_line(text: str) -> None:
    with pytest.raises(StartupError) as raised:
        Address.parse(text)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_sidecar_forwards_counts_and_goes(
    engine: Engine, start_engine: Callable[..., Engine], find_port: Callable[[], int]
) -> None:
    proxy, admin = (Address.parse(f"127.0.0.1:{find_port()}") for _ in range(2))
    upstreams = {"Q2": engine.url, "Q4": start_engine(seed=1).url}
    with Sidecar(upstreams=upstreams, proxy=proxy, admin=admin) as sidecar:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, timeout=30, trust_env=False)
        assert answer.json()["usage"]["completion_tokens"] >= 1
        assert answer.headers["x-routing-tier"] == "Q2"
        finished = parse(httpx.get(f"{admin.url}/metrics", trust_env=False).text, at=0.0, names={"llm_requests_total"})
        assert total(finished, "llm_requests_total", tier="Q2", outcome="completed") == 1
    assert not sidecar.running


def test_sidecar_that_cannot_start_says_why(engine: Engine, free_port: int) -> None:
    address = Address.parse(f"127.0.0.1:{free_port}")
    with pytest.raises(StartupError, match=r"the sidecar did not start: .*needs a port of its own"):
        Sidecar(upstreams={"Q4": engine.url}, proxy=address, admin=address).start()
