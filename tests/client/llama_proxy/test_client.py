"""The client as a whole: where it asks, with which key, and what it gives away."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

import httpx
import pytest

import exporter.client
from exporter.client import LlamaProxyClient, LlamaProxyError, llama_proxy
from tests.client.llama_proxy.manager import Manager, Reply
from tests.nextjs_document import MODELS, error

KEY = "open-sesame"
Make = Callable[..., LlamaProxyClient]


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/"])
def test_the_address_may_end_in_api_or_not(manager: Manager, make_client: Make, path: str) -> None:
    client = make_client(manager.url + path)
    assert client.models.list().count == 1
    assert manager.asked[-1].path == "/api/models"
    assert repr(client) == f"LlamaProxyClient('{manager.url}/api')"


def test_a_sidecar_may_be_behind_a_path(make_client: Make) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=MODELS)

    for url in ("https://example.org/llama", "https://example.org/llama/api/"):
        make_client(url, transport=httpx.MockTransport(answer)).models.list()
    assert asked == ["https://example.org/llama/api/models"] * 2


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9464", "ftp://127.0.0.1", "http://", "http://a b/", "http://a/?b=1", "http://a/#b"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        LlamaProxyClient(url)


def test_an_address_holds_no_password() -> None:
    with pytest.raises(ValueError, match="no user name") as raised:
        LlamaProxyClient("http://me:secret@127.0.0.1/")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("key", ["open\nsesame", " open-sesame", "öpen-sesame", "open\x7f"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        LlamaProxyClient(api_key=key)
    assert key not in str(raised.value)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}])
def test_what_cannot_be_meant(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        LlamaProxyClient(**options)  # type: ignore[arg-type]


def test_the_key_is_sent_and_never_shown(manager: Manager, make_client: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = make_client(manager.url, KEY)
    client.models.list()
    manager.answers = [Reply(401, error(401, "UNAUTHORIZED", "No."))]
    with pytest.raises(LlamaProxyError) as raised:
        client.models.list()
    assert [each.headers["x-api-key"] for each in manager.asked] == [KEY, KEY]
    assert KEY not in caplog.text + repr(client) + str(raised.value) + repr(vars(raised.value))
    assert not [record for record in caplog.records if record.name.startswith("exporter")]


def test_without_a_key_none_is_sent(client: LlamaProxyClient, manager: Manager) -> None:
    client.models.list()
    assert "x-api-key" not in manager.asked[0].headers


def test_proxies_of_the_environment_are_not_for_it(
    manager: Manager, make_client: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert make_client(manager.url).models.list().count == 1


def test_a_closed_client_asks_nothing(manager: Manager) -> None:
    with LlamaProxyClient(manager.url) as client:
        client.models.list()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.models.list()
    assert list(client.metrics.stream()) == []


def test_eight_threads_share_one(client: LlamaProxyClient, manager: Manager) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                assert client.models.list().count == 1
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(manager.asked) == 160


def test_the_folder_gives_what_its_part_gives() -> None:
    for name in llama_proxy.__all__:
        assert getattr(exporter.client, name) is getattr(llama_proxy, name)
    assert set(exporter.client.__all__) == {*llama_proxy.__all__, "MetricsCollector", "get_metrics_collector"}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        exporter.client.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_recording_needs_no_httpx() -> None:
    program = """
import sys
sys.modules["httpx"] = None
from exporter.client import MetricsCollector
assert "exporter.client.llama_proxy" not in sys.modules
try:
    from exporter.client import LlamaProxyClient
except ImportError as error:
    print(error.name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "httpx"
