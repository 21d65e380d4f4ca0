"""The client and a real sidecar without a router behind it: everything that needs none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.client import (
    AuthenticationError,
    ConflictError,
    ForbiddenError,
    LlamaProxyClient,
    NotFoundError,
    RateLimitedError,
    ValidationError,
)
from exporter.demo.model import write_model
from tests.client.threaded import LIMIT_SECONDS
from tests.end_to_end.sidecar import Sidecar

KEY = "open-sesame"
NAME = "org/tiny:Q4_K_M"
pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder / "tiny.gguf")
    (folder / "broken.gguf").write_bytes(b"GGUF")
    return folder


@pytest.fixture(scope="module")
def sidecar(folder: Path, tmp_path_factory: pytest.TempPathFactory, find_port: Callable[[], int]) -> Iterator[Sidecar]:
    state = tmp_path_factory.mktemp("state")
    environment = {
        "LLAMA_EXPORTER_MODELS__DIR": str(folder),
        "PROXY_API_KEY": KEY,
        "XDG_STATE_HOME": str(state),
        "LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "0",
    }
    with Sidecar("--upstream", f"http://127.0.0.1:{find_port()}", environment=environment) as running:
        with LlamaProxyClient(running.admin, KEY) as client:
            running.wait_until(lambda: has_begun(client), LIMIT_SECONDS)
        yield running


def has_begun(client: LlamaProxyClient) -> bool:
    """Whether the store is open, and the machine has been looked at."""
    health = client.monitoring.health()
    return health.services.database.status == "healthy" and health.system.memory_usage is not None


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[LlamaProxyClient]:
    with LlamaProxyClient(sidecar.admin, KEY, retries=0) as client:
        yield client


def test_from_a_file_to_a_model_and_back(client: LlamaProxyClient, folder: Path) -> None:
    found = client.models.discover()
    (file,) = found
    assert (file.name, file.path, file.format) == ("tiny", str(folder / "tiny.gguf"), "gguf")
    assert (found.scanned_paths, found.total_found, len(found.errors)) == ((str(folder),), 2, 1)

    assert client.models.register({"name": NAME, "path": file.path, "description": "Tiny"}).registered == 1
    with pytest.raises(ConflictError):
        client.models.register([{"name": NAME, "path": file.path}])
    (model,) = client.models.list()
    assert (model.name, model.status, model.description, model.is_loaded) == (NAME, "stopped", "Tiny", False)
    assert (model.size, model.context_size) == (file.size, file.context_size)
    assert client.models.update(NAME, {"description": "Tinier"}).description == "Tinier"
    assert client.models.get(NAME).description == "Tinier"

    assert client.models.remove(NAME).model_id == NAME
    with pytest.raises(NotFoundError) as raised:
        client.models.get(NAME)
    assert (raised.value.code, raised.value.status) == ("NOT_FOUND", 404)
    assert raised.value.request_id
    assert len(client.models.list()) == 0


def test_what_cannot_be_done(client: LlamaProxyClient, folder: Path) -> None:
    with pytest.raises(ForbiddenError):
        client.models.discover([str(folder.parent)])
    with pytest.raises(NotFoundError):
        client.models.load("nobody")
    with pytest.raises(ValidationError) as raised:
        client.models.register({"name": "[x]", "path": str(folder / "tiny.gguf")})
    assert raised.value.fields


def test_configuration_and_parameters(client: LlamaProxyClient) -> None:
    assert [(each.id, each.count) for each in client.parameters.categories()] == [
        ("model", 15),
        ("system", 8),
        ("performance", 12),
    ]
    change = client.config.update({"llama_config": {"temperature": 0.3}})
    assert (change.changes, change.requires_restart) == ({"llama_config.temperature": 0.3}, False)
    assert client.config.get().llama_config["temperature"] == 0.3
    assert client.parameters.list("model")["temperature"].value == 0.3
    assert client.parameters.update("model", {"temperature": 0.4}).updated == ("temperature",)
    assert client.parameters.get("temperature").value == 0.4
    client.config.reset()
    temperature = client.parameters.get("temperature")
    assert temperature.value == temperature.default
    assert client.config.get().update_intervals.metrics == 10000
    with pytest.raises(ValidationError) as raised:
        client.parameters.update("model", {"temperature": "hot"})
    assert raised.value.fields
    with pytest.raises(NotFoundError):
        client.parameters.list("nothing")


def test_monitoring(client: LlamaProxyClient) -> None:
    now = client.monitoring.current()
    assert now.system.memory.total
    assert now.requests.total == 0
    history = client.monitoring.history(hours=1, resolution="1m")
    assert history.period.resolution == "1m"
    with pytest.raises(ValidationError):
        client.monitoring.history(hours=1000)
    health = client.monitoring.health()
    assert (health.is_healthy, health.services.proxy.status) == (False, "healthy")
    assert client.monitoring.status().models.registered == 0


def test_live_figures(client: LlamaProxyClient) -> None:
    metrics = next(client.metrics.stream())
    assert metrics.requests == 0
    assert metrics.memory


def test_without_a_key(sidecar: Sidecar) -> None:
    with LlamaProxyClient(sidecar.admin) as client:
        with pytest.raises(AuthenticationError):
            client.models.list()
        with pytest.raises(AuthenticationError):
            next(client.metrics.stream())


def test_the_rate_limit(free_port: int) -> None:
    environment = {"LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "3"}
    with Sidecar("--upstream", f"http://127.0.0.1:{free_port}", environment=environment) as sidecar:  # noqa: SIM117
        with LlamaProxyClient(sidecar.admin, retries=0) as client:
            for _ in range(3):
                client.parameters.categories()
            with pytest.raises(RateLimitedError) as raised:
                client.parameters.categories()
    assert 0 < (raised.value.retry_after or 0) <= 60
