"""Every method asks what the contract says, and gives what the document shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exporter.client import LlamaProxyClient
from tests import nextjs_document as shown
from tests.client.llama_proxy.manager import Manager, Reply

NAME = "llama-2-7b-chat"
TEN = datetime(2024, 1, 15, 10, tzinfo=UTC)


def asked(manager: Manager) -> tuple[str, str, object]:
    (one,) = manager.asked
    return one.method, one.path, one.body


def test_models_are_listed(client: LlamaProxyClient, manager: Manager) -> None:
    models = client.models.list()
    assert asked(manager) == ("GET", "/api/models", None)
    assert (models.count, len(models), models[0].name) == (1, 1, NAME)
    (model,) = models
    assert (model.id, model.status, model.is_loaded, model.description) == (
        NAME,
        "running",
        True,
        "Chat model for Llama 2",
    )
    assert (model.version, model.path, model.size) == ("2.0", "/path/to/model.gguf", 3758096384)
    assert (model.family, model.context_size) == ("llama", 4096)
    assert (model.loaded_at, model.last_used) == (TEN, TEN.replace(minute=30))
    assert model.raw == shown.MODEL


def test_a_model_comes_with_and_without_an_envelope(client: LlamaProxyClient, manager: Manager) -> None:
    assert client.models.get(NAME).context_size == 4096
    manager.answers = [Reply(200, shown.MODEL)]
    assert client.models.get(NAME).context_size == 4096
    assert {(each.method, each.path) for each in manager.asked} == {("GET", f"/api/models/{NAME}")}


def test_load_wraps_its_options(client: LlamaProxyClient, manager: Manager) -> None:
    change = client.models.load(NAME, {"temperature": 0.7, "max_tokens": 512})
    options = {"config": {"temperature": 0.7, "max_tokens": 512}}
    assert asked(manager) == ("POST", f"/api/models/{NAME}/load", options)
    assert (change.model_id, change.status, change.estimated_time) == (NAME, "loading", 30.0)
    assert change.message == "Model loading initiated"


def test_load_without_options_sends_none(client: LlamaProxyClient, manager: Manager) -> None:
    manager.answers = [Reply(202, {**shown.LOADING, "estimatedTime": None})]
    assert client.models.load(NAME).estimated_time is None
    assert asked(manager) == ("POST", f"/api/models/{NAME}/load", {})


@pytest.mark.parametrize(("force", "body"), [(False, {}), (True, {"force": True})])
def test_unload(client: LlamaProxyClient, manager: Manager, force: bool, body: object) -> None:
    change = client.models.unload(NAME, force=force)
    assert asked(manager) == ("POST", f"/api/models/{NAME}/unload", body)
    assert (change.model_id, change.status) == (NAME, "unloading")


def test_discover_sends_what_was_given(client: LlamaProxyClient, manager: Manager) -> None:
    found = client.models.discover(
        ["/path/to/models"], recursive=False, include_patterns=("*.gguf",), exclude_patterns=["*.bak"]
    )
    assert asked(manager) == (
        "POST",
        "/api/models/discover",
        {
            "paths": ["/path/to/models"],
            "recursive": False,
            "includePatterns": ["*.gguf"],
            "excludePatterns": ["*.bak"],
        },
    )
    (file,) = found
    assert (file.name, file.quantization, file.format, file.context_size) == (
        "llama-3-8b-instruct",
        "Q4_K_M",
        "gguf",
        8192,
    )
    assert (file.path, file.size) == ("/path/to/models/llama-3-8b-instruct.gguf", 8540000000)
    assert (found.scanned_paths, found.total_found, found.errors) == (("/path/to/models", "/another/path"), 1, ())


def test_discover_leaves_the_rest_to_the_sidecar(client: LlamaProxyClient, manager: Manager) -> None:
    client.models.discover()
    assert asked(manager) == ("POST", "/api/models/discover", {"recursive": True})


def test_one_text_is_no_list_of_paths(client: LlamaProxyClient, manager: Manager) -> None:
    with pytest.raises(TypeError, match="not one text"):
        client.models.discover("/models")
    assert manager.asked == []


def test_one_model_or_several_are_registered(client: LlamaProxyClient, manager: Manager) -> None:
    entry = {"name": "mistral-7b", "path": "/path/to/model.gguf", "family": "mistral"}
    done = client.models.register(entry)
    client.models.register([entry, {"name": "other"}])
    assert [each.body for each in manager.asked] == [{"models": [entry]}, {"models": [entry, {"name": "other"}]}]
    assert (done.registered, done.models[0].name, done.models[0].status) == (1, "mistral-7b", "registered")
    assert done.models[0].size is None


def test_update_and_remove(client: LlamaProxyClient, manager: Manager) -> None:
    assert client.models.update(NAME, {"description": "new"}).name == NAME
    assert client.models.remove(NAME).model_id == NAME
    assert [(each.method, each.path, each.body) for each in manager.asked] == [
        ("PUT", f"/api/models/{NAME}", {"description": "new"}),
        ("DELETE", f"/api/models/{NAME}", None),
    ]


@pytest.mark.parametrize("name", ["org/model:Q4_K_M", "a b", "50%", "a?b#c", "ü", "..", "a/../b", "a%2Fb"])
def test_a_name_arrives_whole(client: LlamaProxyClient, manager: Manager, name: str) -> None:
    client.models.get(name)
    client.models.load(name)
    client.models.unload(name)
    assert [each.name for each in manager.asked] == [name] * 3
    assert [each.path.count("/") for each in manager.asked] == [3, 4, 4]


@pytest.mark.parametrize("name", ["", "x" * 1001])
def test_a_name_has_1_to_1000_characters(client: LlamaProxyClient, manager: Manager, name: str) -> None:
    with pytest.raises(ValueError, match="a name has"):
        client.models.remove(name)
    assert manager.asked == []


def test_configuration(client: LlamaProxyClient, manager: Manager) -> None:
    config = client.config.get()
    assert (config.app.version, config.llama_server.port, config.llama_server.timeout) == ("0.1.0", 8080, 30000)
    assert config.llama_config["n_gpu_layers"] == 35
    assert (config.model_paths.models_dir, config.model_paths.default_model) == ("./models", None)
    assert config.update_intervals.metrics == 10000
    changes = {"llama_config": {"temperature": 0.8}}
    change = client.config.update(changes)
    assert (change.changes["llama_config.temperature"], change.requires_restart) == (0.8, False)
    client.config.reset()
    assert [each.body for each in manager.asked] == [None, changes, {"reset": True}]
    assert {each.path for each in manager.asked} == {"/api/config"}


def test_parameters(client: LlamaProxyClient, manager: Manager) -> None:
    assert [(each.id, each.count) for each in client.parameters.categories()] == [
        ("model", 15),
        ("system", 8),
        ("performance", 12),
    ]
    parameters = client.parameters.list("model")
    assert list(parameters) == ["temperature", "max_tokens"]
    temperature = parameters["temperature"]
    assert (temperature.value, temperature.min, temperature.max, temperature.step) == (0.7, 0.0, 2.0, 0.1)
    assert parameters["max_tokens"].step is None
    one = client.parameters.get("temperature")
    assert (one.parameter, one.category, one.value, one.metadata.max) == ("temperature", "model", 0.7, 2.0)
    change = client.parameters.update("model", {"temperature": 0.8})
    assert (change.updated, change.requires_restart) == (("temperature", "max_tokens", "top_p"), False)
    assert [(each.path, each.body) for each in manager.asked] == [
        ("/api/parameters", None),
        ("/api/parameters/model", None),
        ("/api/parameters/category/temperature", None),
        ("/api/parameters/model", {"parameters": {"temperature": 0.8}}),
    ]


def test_monitoring(client: LlamaProxyClient) -> None:
    now = client.monitoring.current()
    assert (now.timestamp, now.uptime) == (TEN, 3600.0)
    assert (now.system.cpu.usage, now.system.cpu.load_average) == (45.2, (1.2, 1.1, 1.0))
    assert (now.system.memory.used, now.system.disk.usage_percent) == (10952, 46.9)
    assert (now.gpu[0].memory.total, now.gpu[0].utilization) == (10240, 85.5)
    assert (now.models.memory_usage, now.requests.average_response_time) == (4096, 245)


def test_no_gpu_is_none(client: LlamaProxyClient, manager: Manager) -> None:
    without = {key: value for key, value in shown.MONITORING.items() if key != "gpu"}
    for document in (without, {**without, "gpu": []}, {**without, "gpu": None}):
        manager.answers = [Reply(200, document)]
        assert client.monitoring.current().gpu == ()


def test_history(client: LlamaProxyClient, manager: Manager) -> None:
    history = client.monitoring.history(hours=1.5, resolution="1m")
    assert asked(manager) == ("GET", "/api/monitoring/history?hours=1.5&resolution=1m", None)
    assert (history.period.end, history.period.resolution) == (TEN, "5m")
    assert [(point.cpu, point.gpu) for point in history] == [(42.3, 78.4), (45.2, None)]
    assert (history.summary.avg_response_time, history.summary.total_requests) == (239.5, 27)
    client.monitoring.history()
    assert manager.asked[-1].path == "/api/monitoring/history?hours=24&resolution=5m"


def test_health_and_status(client: LlamaProxyClient) -> None:
    health = client.monitoring.health()
    assert (health.is_healthy, health.services.llama_server.models_loaded) == (True, 1)
    assert health.services.llama_server.last_health_check == datetime(2024, 1, 15, 9, 59, 45, tzinfo=UTC)
    assert (health.services.database.response_time, health.system.disk_usage) == (12.0, 46.9)
    status = client.monitoring.status()
    assert (status.application.start_time, status.server.ssl) == (TEN.replace(hour=9), False)
    assert (status.websocket.messages_per_second, status.models.registered) == (15.2, 5)
    assert status.performance.error_rate == 0.01


def test_an_unhealthy_sidecar_answers_too(client: LlamaProxyClient, manager: Manager) -> None:
    services = {**shown.HEALTH["services"], "database": {"status": "unhealthy"}}
    manager.answers = [Reply(503, {**shown.HEALTH, "status": "unhealthy", "services": services})]
    health = client.monitoring.health()
    assert (health.is_healthy, health.services.database.status) == (False, "unhealthy")
    assert len(manager.asked) == 1
