"""The configuration over HTTP: reading it, changing it as documented, and what is wrong with a change."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.api.nextjs.configuration import changes as changing
from exporter.models.model import Status
from exporter.models.runtime import RuntimeSettings
from exporter.models.server.managed import ManagedServer, ServerStatus
from tests import nextjs_document
from tests.api.nextjs import typed
from tests.api.nextjs.stand import Stand, managing

PATH = "/api/config"


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        yield made


async def refused(stand: Stand, body: Any, status: int = 400) -> dict[str, str]:
    """What is wrong with a change, by field. Nothing has changed."""
    before = stand.runtime.current
    answer = await stand.post(PATH, body, status)
    assert stand.runtime.current == before
    fields: dict[str, str] = answer["error"]["fields"]
    return fields


async def test_every_documented_key_is_there(stand: Stand) -> None:
    document = await stand.get(PATH)
    assert typed.differences(nextjs_document.CONFIG, document) == []
    assert document["app"] == {
        "name": "llama-exporter",
        "version": "1.2.3",
        "port": 9464,
        "environment": "production",
    }
    assert document["llama_server"] == {
        "host": "10.0.0.2",
        "port": 8082,
        "timeout": 30_000,
        "path": "/opt/llama-server",
    }
    assert len(document["llama_config"]) == 35
    assert document["model_paths"] == {"modelsDir": str(stand.root), "defaultModel": None}
    assert document["update_intervals"] == {"metrics": 10_000, "models": 30_000, "logs": 15_000}
    assert document["data"] == {key: document[key] for key in document["data"]}


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_the_documented_change(stand: Stand, method: str) -> None:
    (stand.root / "more").mkdir()
    body = {
        "llama_config": {"temperature": 0.7, "max_tokens": 1024},
        "model_paths": {"modelsDir": str(stand.root / "more")},
        "reset": False,
    }
    answer = await stand.ask(method, PATH, json=body)
    assert answer.status_code == 200
    document = answer.json()
    assert document["message"] == "Configuration updated successfully"
    assert document["changes"] == {
        "llama_config.temperature": 0.7,
        "llama_config.max_tokens": 1024,
        "model_paths.modelsDir": str(stand.root / "more"),
    }
    assert document["requiresRestart"] is False
    assert (document["restart"], document["ignored"], document["saved"]) == ([], {}, True)
    assert document["data"] == (await stand.get(PATH))["data"]
    assert stand.shelf.documents["runtime"]["options"] == {"temperature": 0.7, "max_tokens": 1024}


async def test_what_was_asked_for_is_told_also_where_it_is_no_change(stand: Stand) -> None:
    answer = await stand.post(PATH, {"llama_config": {"temperature": 0.8}})
    assert answer["changes"] == {"llama_config.temperature": 0.8}
    assert stand.runtime.current.options == {}, "llama-server's default is not pinned"


async def test_intervals_hold_at_once(stand: Stand) -> None:
    answer = await stand.post(
        PATH, {"update_intervals": {"metrics": 500, "logs": 1000}, "llama_server": {"timeout": 5}}
    )
    assert answer["changes"] == {
        "update_intervals.metrics": 500,
        "update_intervals.logs": 1000,
        "llama_server.timeout": 5,
    }
    now = stand.runtime.current
    assert (now.metrics_interval_ms, now.models_interval_ms, now.logs_interval_ms) == (500, 30_000, 1000)
    assert now.load_wait_ms == 5


async def test_everything_that_is_wrong_is_named(stand: Stand) -> None:
    body: dict[str, Any] = {
        "app": {"port": 1},
        "llama_server": {"host": "example.com", "port": 8082, "timout": 5},
        "update_intervals": {"metrics": 5, "models": "x"},
        "llama_confg": {},
    }
    fields = await refused(stand, body)
    assert fields == {
        "llama_server.timout": "unknown; did you mean 'timeout'?",
        "update_intervals.metrics": "must be at least 100",
        "update_intervals.models": "must be a whole number",
        "llama_confg": "unknown; did you mean 'llama_config'?",
    }
    del body["llama_confg"], body["update_intervals"], body["llama_server"]["timout"]
    body["llama_config"] = {"temprature": 1, "n_ctx": -4, "threads": True}
    body["model_paths"] = {"defaultModel": "x"}
    assert await refused(stand, body) == {
        "app.port": "is set where the sidecar is started; it is 9464",
        "llama_server.host": "is set where the sidecar is started; it is '10.0.0.2'",
        "llama_config.temprature": "is not a parameter; did you mean temperature?",
        "llama_config.n_ctx": "must be a whole number from 0 to 10485760, but not 1 to 255",
        "llama_config.threads": "must be a whole number from -1 to 512",
        "model_paths.defaultModel": "there is no model 'x'",
    }


async def test_executables_cannot_be_set_over_http(stand: Stand) -> None:
    assert list(await refused(stand, {"llama_server": {"path": "/bin/sh"}})) == ["llama_server.path"]
    answer = await stand.post(PATH, {"serverConfig": {"serverPath": "/bin/sh"}})
    assert answer["ignored"] == {"serverConfig.serverPath": "is set where the sidecar is started"}


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"3", b"null"])
async def test_what_is_no_object(stand: Stand, body: bytes) -> None:
    answer = await stand.ask("POST", PATH, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["fields"] == {"body": "must be an object"}


async def test_a_body_may_be_empty(stand: Stand) -> None:
    for content in (b"", b"{}"):
        answer = await stand.ask("POST", PATH, content=content)
        assert (answer.status_code, answer.json()["changes"]) == (200, {})


@pytest.mark.parametrize("path", ["/etc", "../..", "/new/models/path"])
async def test_folders_outside_are_not_taken(stand: Stand, path: str) -> None:
    fields = await refused(stand, {"model_paths": {"modelsDir": path}}, 403)
    assert "not within the models folders" in fields["model_paths.modelsDir"]


async def test_folders_that_there_are_not(stand: Stand) -> None:
    for path in ("missing", "a.gguf", ""):
        assert list(await refused(stand, {"model_paths": {"modelsDir": path}})) == ["model_paths.modelsDir"]


async def test_a_folder_that_does_not_answer(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a file server that has gone: whoever looks waits for ever."""
    gone = threading.Event()
    monkeypatch.setattr(changing, "FOLDER_SECONDS", 0.05)
    monkeypatch.setattr(changing, "_folder", lambda places, path: str(gone.wait(30)))
    answer = await stand.post(PATH, {"model_paths": {"modelsDir": "more"}}, 503)
    assert answer["error"]["message"] == "more does not answer"
    gone.set()


async def test_a_default_model(stand: Stand) -> None:
    await stand.register("a")
    answer = await stand.post(PATH, {"model_paths": {"defaultModel": "a"}})
    assert answer["changes"] == {"model_paths.defaultModel": "a"}
    answer = await stand.post(PATH, {"model_paths": {"defaultModel": None}})
    assert answer["changes"] == {"model_paths.defaultModel": None}


async def test_a_default_model_that_is_removed_is_none_any_more(stand: Stand) -> None:
    await stand.register("a", "b")
    await stand.post(PATH, {"model_paths": {"defaultModel": "a"}})
    await stand.ask("DELETE", "/api/models/b")
    assert (await stand.get(PATH))["model_paths"]["defaultModel"] == "a"
    assert (await stand.ask("DELETE", "/api/models/a")).status_code == 200
    assert (await stand.get(PATH))["model_paths"]["defaultModel"] is None


async def test_a_default_model_that_is_away_can_be_sent_back(stand: Stand) -> None:
    await stand.runtime.change({"default_model": "away"})
    answer = await stand.post(PATH, {"model_paths": {"defaultModel": "away"}})
    assert (answer["changes"], stand.runtime.current.default_model) == ({"model_paths.defaultModel": "away"}, "away")
    assert list(await refused(stand, {"model_paths": {"defaultModel": "gone"}})) == ["model_paths.defaultModel"]


async def test_reset(stand: Stand) -> None:
    await stand.post(PATH, {"llama_config": {"temperature": 0.1, "n_ctx": 512}, "update_intervals": {"metrics": 500}})
    answer = await stand.post(PATH, {"reset": True, "llama_config": {"top_k": 3}})
    assert answer["changes"] == {
        "llama_config.temperature": 0.8,
        "llama_config.n_ctx": 0,
        "llama_config.top_k": 3,
        "update_intervals.metrics": 10_000,
    }
    assert stand.runtime.current == RuntimeSettings(options={"top_k": 3})


async def test_null_is_the_default(stand: Stand) -> None:
    await stand.post(PATH, {"llama_config": {"temp": 0.1, "n_ctx": 512}})
    answer = await stand.post(PATH, {"llama_config": {"temperature": None}})
    assert answer["changes"] == {"llama_config.temperature": 0.8}
    assert stand.runtime.current.options == {"n_ctx": 512}


async def test_when_it_cannot_be_saved_nothing_has_changed(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    stand.shelf.failing = True
    fields = await refused(stand, {"llama_config": {"temperature": 0.1}}, 500)
    assert fields == {}
    answer = await stand.ask(
        "POST", PATH, headers={"X-Request-ID": "mine"}, json={"reset": True, "llama_config": {"top_k": 1}}
    )
    assert answer.status_code == 500
    assert vars(caplog.records[-1])["request_id"] == "mine"


async def test_what_runs_on_is_named(stand: Stand) -> None:
    await stand.register("a", "b")
    await stand.post("/api/models/a/start")
    untouched = await stand.post(PATH, {"update_intervals": {"metrics": 500}})
    assert untouched["requiresRestart"] is False
    answer = await stand.post(PATH, {"llama_config": {"temperature": 0.1}})
    assert answer["requiresRestart"] is True
    assert answer["restart"] == ["model a: it runs with other parameters; load it again"]
    assert stand.models.get("a").status is Status.RUNNING, "nothing is cut off"
    again = await stand.post(PATH, {"llama_config": {"temperature": 0.1}})
    assert again["requiresRestart"] is False, "this changed nothing"
    await stand.post("/api/models/a/load", status=202)
    assert stand.house is not None
    await stand.house.settle("a", Status.RUNNING)
    other = await stand.post(PATH, {"llama_config": {"temperature": 0.8}})
    assert other["restart"] == ["model a: it runs with other parameters; load it again"]


async def test_what_a_managed_server_was_started_with(stand: Stand) -> None:
    stand.server = ManagedServer(ServerStatus.READY, 0, None, 1.0, 42, 4)
    answer = await stand.post(PATH, {"appConfig": {"maxConcurrentModels": 7}})
    assert answer["changes"] == {"appConfig.maxConcurrentModels": 7}
    assert answer["requiresRestart"] is True
    assert answer["restart"] == [
        "llama-server: it keeps as many models loaded as before, until the sidecar is restarted"
    ]
    answer = await stand.post(PATH, {"appConfig": {"maxConcurrentModels": 4}})
    assert answer["requiresRestart"] is False, "it was started with that"
    stand.server = ManagedServer(ServerStatus.CRASHED, 0, None, None, None)
    answer = await stand.post(PATH, {"appConfig": {"maxConcurrentModels": 8}})
    assert answer["requiresRestart"] is False, "it is started with that anyway"


async def test_what_was_read_can_be_sent_back(stand: Stand) -> None:
    document = await stand.get(PATH)
    before = stand.runtime.current
    answer = await stand.post(PATH, document)
    assert stand.runtime.current == before
    assert (answer["requiresRestart"], answer["ignored"]) == (False, {})
    document["llama_config"]["n_ctx"] = 2048
    await stand.post(PATH, document)
    assert stand.runtime.current.options == {"n_ctx": 2048}
