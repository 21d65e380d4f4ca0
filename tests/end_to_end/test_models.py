"""Models from file to answer, over HTTP and by the Python client, with a real llama-server that the sidecar runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.client import ConflictError, LlamaProxyClient, NotFoundError
from tests.end_to_end.managed import NAMES, Manager, heard, is_listening, managing

pytestmark = pytest.mark.router


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    with managing(tmp_path_factory.mktemp("managed")) as running:
        yield running


def test_over_http(manager: Manager) -> None:
    api = manager.api
    found = api.post("/models/discover", json={"paths": [str(manager.models)]}).json()
    assert found["totalFound"] == 3
    assert [each["name"] for each in found["discovered"]] == sorted(NAMES)
    assert {each["family"] for each in found["discovered"]} == {"llama"}
    assert [each["status"] for each in manager.register(*NAMES[:2])] == ["registered"] * 2
    assert manager.api.get("/models").json()["count"] >= 2

    with heard(manager.sidecar.admin, "/models") as events:
        begun = api.post("/models/tiny-a/load", json={"config": {"n_ctx": 2048}})
        assert (begun.status_code, begun.json()["status"], begun.json()["modelId"]) == (202, "loading", "tiny-a")
        manager.wait_until(lambda: "model:loaded" in [event for event, _ in events])
        kinds = [event for event, data in events if event.startswith("model:") and data["modelId"] == "tiny-a"]
        assert kinds[0] == "model:loading"
        assert kinds[-1] == "model:loaded"
    assert manager.status("tiny-a") == "running"

    answer = manager.chat("tiny-a")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "tiny-a"
    assert manager.props("tiny-a")["default_generation_settings"]["n_ctx"] == 2048
    manager.wait_until(lambda: bool(api.get("/models/tiny-a").json()["lastUsed"]))

    refused = api.delete("/models/tiny-a")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "CONFLICT")
    unloaded = api.post("/models/tiny-a/unload")
    assert (unloaded.status_code, unloaded.json()["status"]) == (202, "unloading")
    manager.wait_until(lambda: manager.status("tiny-a") == "stopped")
    removed = api.delete("/models/tiny-a")
    assert (removed.status_code, removed.json()["modelId"]) == (200, "tiny-a")
    assert api.delete("/models/tiny-a").status_code == 404
    assert manager.chat("tiny-a").status_code == 400, "the router knows it no longer"


def test_by_the_client(manager: Manager) -> None:
    with LlamaProxyClient(f"{manager.sidecar.admin}/api") as client:
        assert client.models.discover([str(manager.models)]).total_found == 3
        client.models.register({"name": "by-client", "path": str(manager.models / "tiny-c.gguf")})
        with pytest.raises(ConflictError):
            client.models.register({"name": "by-client", "path": str(manager.models / "tiny-c.gguf")})
        client.models.load("by-client", {"n_ctx": 2048, "temperature": 0.1})
        assert client.models.wait("by-client", 60).status == "running"
        assert manager.chat("by-client").status_code == 200
        props = manager.props("by-client")["default_generation_settings"]
        assert props["n_ctx"] == 2048
        assert props["params"]["temperature"] == pytest.approx(0.1)
        with pytest.raises(ConflictError):
            client.models.remove("by-client")
        client.models.unload("by-client")
        manager.wait_until(lambda: client.models.get("by-client").status == "stopped")
        client.models.remove("by-client")
        with pytest.raises(NotFoundError):
            client.models.get("by-client")
        assert client.monitoring.health().status == "healthy"
        stream = client.metrics.stream()
        first = next(stream)
        assert first.memory is not None
        assert 0 < first.memory <= 100
        stream.close()


def test_a_killed_llama_server_is_restarted_noticed_and_reported(manager: Manager) -> None:
    if "tiny-b" not in {model["id"] for model in manager.api.get("/models").json()["models"]}:
        manager.register("tiny-b")
    assert manager.chat("tiny-b").status_code == 200, "the router loads what is registered by itself"
    victim = manager.router()
    models = victim.children()
    assert models
    os.kill(victim.pid, signal.SIGKILL)
    manager.wait_until(
        lambda: bool(manager.sidecar.said("llama-server has ended, or did not start; it is started again"))
    )
    manager.wait_until(lambda: not any(each.is_running() and each.status() != "zombie" for each in models))
    manager.wait_until(lambda: manager.api.get("/health").status_code == 200 and manager.router().pid != victim.pid)
    health = manager.api.get("/health").json()
    assert health["services"]["llama_server"]["restarts"] == 1
    assert "SIGKILL" in health["services"]["llama_server"]["last_error"]
    manager.wait_until(lambda: manager.chat("tiny-b").status_code == 200)


def test_a_start_is_no_failure(tmp_path: Path) -> None:
    """It is healthy as soon as it answers, not when it is looked at the next time."""
    with managing(tmp_path, SAMPLING__INTERVAL_SECONDS="300") as running:
        said = [entry["message"] for entry in running.sidecar.log if entry.get("upstream")]
        assert "upstream is ready" in said
        assert "upstream is not ready" not in said


def test_everything_ends_with_the_sidecar(tmp_path: Path) -> None:
    with managing(tmp_path) as running:
        running.register("tiny-a")
        assert running.chat("tiny-a").status_code == 200
        router = running.router()
        processes = [router, *router.children()]
    assert not [each for each in processes if each.is_running() and each.status() != "zombie"]
    assert "[tiny-a]" in (tmp_path / "models.ini").read_text()


def test_a_second_signal_does_not_wait_for_models_that_hang(tmp_path: Path) -> None:
    with managing(tmp_path) as running:
        running.register("tiny-a")
        assert running.chat("tiny-a").status_code == 200
        router = running.router()
        (model,) = router.children()
        model.suspend()
        running.sidecar.process.send_signal(signal.SIGTERM)
        running.sidecar.wait_until(lambda: bool(running.sidecar.said("finishing what is in flight")))
        running.sidecar.wait_until(lambda: not is_listening(running.port))
        running.sidecar.process.send_signal(signal.SIGINT)
        running.sidecar.process.wait(60)
        assert running.sidecar.said("stopping at once")
        assert running.sidecar.said("stopped")
    assert not [each for each in (router, model) if each.is_running() and each.status() != "zombie"]


def test_what_is_registered_and_set_is_back_after_a_restart(tmp_path: Path) -> None:
    first: dict[str, Any] = {}
    with managing(tmp_path) as running:
        running.register("tiny-a", "tiny-b")
        wanted = {"llama_config": {"temperature": 0.25}, "model_paths": {"defaultModel": "tiny-b"}}
        changed = running.api.post("/config", json=wanted)
        assert (changed.status_code, changed.json()["requiresRestart"]) == (200, False)
        first = running.api.get("/config").json()
    for leftover in ("models", "cache"):
        for path in (tmp_path / leftover).iterdir():
            path.unlink()
        (tmp_path / leftover).rmdir()
    with managing(tmp_path) as again:
        assert {model["id"] for model in again.api.get("/models").json()["models"]} >= {"tiny-a", "tiny-b"}
        assert again.api.get("/config").json()["llama_config"] == first["llama_config"]
        again.wait_until(lambda: again.status("tiny-b") == "running")
        assert again.chat("tiny-a").status_code == 200
        params = again.props("tiny-a")["default_generation_settings"]["params"]
        assert params["temperature"] == pytest.approx(0.25)
