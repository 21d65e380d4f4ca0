"""What real front ends send as a configuration is never refused: what can be set is, the rest is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.api.nextjs.configuration.front_ends import ALWAYS_SENT, UNTOUCHED_LOGGER, wishes
from exporter.api.nextjs.facts import Facts, Place
from exporter.models.runtime import RuntimeSettings
from exporter.models.server.managed import ManagedServer, ServerStatus
from tests.api.nextjs.stand import Stand, managing

PATH = "/api/config"
FIXED = "is set where the sidecar is started"
SERVER = {
    "host": "127.0.0.1",
    "port": 8080,
    "baseModelsPath": "/models",
    "serverPath": "/home/user/llama-server",
    "ctx_size": 4096,
    "batch_size": 512,
    "threads": -1,
    "gpu_layers": 35,
}
APP = {"maxConcurrentModels": 2, "logLevel": "debug", "autoUpdate": True, "notificationsEnabled": False}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        made.server = ManagedServer(ServerStatus.READY, 0, None, 1.0, 42)
        yield made


def read_form(document: Any) -> dict[str, Any]:
    """As the settings page of the last front end of this contract reads it."""
    server, app = document["serverConfig"], document["appConfig"]
    return {
        **{key: server[key] for key in ("host", "port", "baseModelsPath", "serverPath")},
        **{key: server[key] for key in ("ctx_size", "batch_size", "threads", "gpu_layers")},
        **{key: app[key] for key in ("logLevel", "maxConcurrentModels", "autoUpdate", "notificationsEnabled")},
    }


async def test_the_settings_page_reads_what_is_true(stand: Stand) -> None:
    form = read_form(await stand.get(PATH))
    assert form == {
        "host": "10.0.0.2",
        "port": 8082,
        "baseModelsPath": str(stand.root),
        "serverPath": "/opt/llama-server",
        "ctx_size": 0,
        "batch_size": 2048,
        "threads": -1,
        "gpu_layers": -1,
        "logLevel": "info",
        "maxConcurrentModels": 4,
        "autoUpdate": False,
        "notificationsEnabled": True,
    }
    document = await stand.get(PATH)
    assert {key: document[key] for key in document["serverConfig"]} == document["serverConfig"], "an earlier one"
    assert document["basePath"] == str(stand.root)


async def test_the_form_with_two_parts(stand: Stand) -> None:
    answer = await stand.post(PATH, {"serverConfig": SERVER, "appConfig": APP})
    assert answer["changes"] == {
        "llama_config.n_ctx": 4096,
        "llama_config.batch_size": 512,
        "llama_config.n_gpu_layers": 35,
        "appConfig.maxConcurrentModels": 2,
        "appConfig.logLevel": "debug",
        "appConfig.autoUpdate": True,
        "appConfig.notificationsEnabled": False,
    }
    assert set(answer["ignored"]) == {f"serverConfig.{key}" for key in ("host", "port", "baseModelsPath", "serverPath")}
    assert answer["ignored"]["serverConfig.host"] == FIXED
    now = stand.runtime.current
    assert now.options == {"n_ctx": 4096, "n_gpu_layers": 35, "batch_size": 512}
    assert (now.max_loaded, now.log_level, now.auto_update, now.notifications) == (2, "debug", True, False)
    assert (await stand.get(PATH))["appConfig"] == APP


async def test_what_was_read_and_saved_again_changes_nothing(stand: Stand) -> None:
    document = await stand.get(PATH)
    body = {"serverConfig": document["serverConfig"], "appConfig": document["appConfig"]}
    answer = await stand.post(PATH, body)
    assert (answer["changes"], answer["ignored"], answer["requiresRestart"]) == ({}, {}, False)


def saved(form: dict[str, Any]) -> dict[str, Any]:
    """As the settings page sends a form that nobody has touched."""
    server = {
        "host": form["host"] or "127.0.0.1",
        "port": form["port"] or 8080,
        "baseModelsPath": form["baseModelsPath"] or "/models",
        "serverPath": form["serverPath"] or "/home/user/llama-server",
        "ctx_size": form["ctx_size"] or 8192,
        "batch_size": form["batch_size"] or 512,
        "threads": form["threads"] or -1,
        "gpu_layers": form["gpu_layers"] or -1,
    }
    app = {
        "maxConcurrentModels": form["maxConcurrentModels"] or 1,
        "logLevel": form["logLevel"] or "info",
        "autoUpdate": form["autoUpdate"] or False,
        "notificationsEnabled": form["notificationsEnabled"],
    }
    return {"serverConfig": server, "appConfig": app}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"options": {"n_gpu_layers": 0, "threads": 0}},
        {"options": {"n_ctx": 8192, "n_gpu_layers": 20, "batch_size": 64}, "max_loaded": 3, "auto_update": True},
    ],
)
async def test_a_form_that_nobody_has_touched_changes_nothing(stand: Stand, settings: dict[str, Any]) -> None:
    await stand.runtime.change(settings)
    before = stand.runtime.current
    body = saved(read_form(await stand.get(PATH)))
    for form in (body, {**body["serverConfig"], **body["appConfig"]}):
        answer = await stand.post(PATH, form)
        assert (answer["changes"], answer["ignored"]) == ({}, {})
        assert stand.runtime.current == before


@pytest.mark.parametrize(("limit", "said"), [(0, []), (4, ["appConfig.maxConcurrentModels"])])
def test_any_number_of_models_is_one_to_them(limit: int, said: list[str]) -> None:
    facts = Facts("127.0.0.1", 9464, (Place("Q2", "10.0.0.2", 8082),), max_loaded=limit)
    body = {"appConfig": {"maxConcurrentModels": 1}}
    assert [each.key for each in wishes(body, facts, RuntimeSettings(), managed=True)] == said


async def test_what_stands_for_nothing_is_a_value_elsewhere(stand: Stand) -> None:
    await stand.runtime.change({"options": {"n_ctx": 512, "n_gpu_layers": 5}})
    answer = await stand.post(PATH, {"serverConfig": {"ctx_size": 8192, "gpu_layers": -1}})
    assert answer["changes"] == {"llama_config.n_ctx": 8192, "llama_config.n_gpu_layers": -1}
    await stand.post(PATH, {"reset": True})
    answer = await stand.post(PATH, {"llama_config": {"n_ctx": 8192}})
    assert answer["changes"] == {"llama_config.n_ctx": 8192}, "the documented form says what it means"


async def test_the_flat_form(stand: Stand) -> None:
    body = {**{key: SERVER[key] for key in SERVER if key != "baseModelsPath"}, "basePath": str(stand.root), "own": 1}
    answer = await stand.post(PATH, body)
    assert set(answer["changes"]) == {"llama_config.n_ctx", "llama_config.batch_size", "llama_config.n_gpu_layers"}
    assert set(answer["ignored"]) == {"host", "port", "serverPath", "own"}


async def test_the_first_form(stand: Stand) -> None:
    defaults = {"ctx_size": 512, "top_k": 20, "top_p": 0.95, "temperature": 9, "own": 1}
    body = {**APP, "basePath": str(stand.root), "modelDefaults": defaults, "runtimes": {}}
    answer = await stand.post(PATH, body)
    assert answer["changes"]["llama_config.n_ctx"] == 512
    assert answer["changes"]["llama_config.top_k"] == 20
    assert "llama_config.top_p" not in answer["changes"], "it is so already"
    assert set(answer["ignored"]) == {"modelDefaults.temperature", "modelDefaults.own", "runtimes"}


async def test_a_folder_within_the_configured_ones(stand: Stand) -> None:
    (stand.root / "more").mkdir()
    answer = await stand.post(PATH, {"serverConfig": {**SERVER, "baseModelsPath": str(stand.root / "more")}})
    assert answer["changes"]["model_paths.modelsDir"] == str(stand.root / "more")
    assert (await stand.get(PATH))["serverConfig"]["basePath"] == str(stand.root / "more")


@pytest.mark.parametrize(
    "section",
    [
        {"serverConfig": {"ctx_size": "many", "threads": None, "baseModelsPath": 5, "own": {}}},
        {"appConfig": {"maxConcurrentModels": 0, "logLevel": "loud", "autoUpdate": "yes", "own": []}},
        {"ctx_size": 1, "logLevel": 5, "maxConcurrentModels": True, "modelDefaults": 3},
    ],
)
async def test_values_that_cannot_be_had_are_said_and_nothing_else_happens(stand: Stand, section: Any) -> None:
    before = stand.runtime.current
    answer = await stand.post(PATH, section)
    assert answer["changes"] == {}
    assert len(answer["ignored"]) == 4
    assert all(answer["ignored"].values())
    assert stand.runtime.current == before


async def test_without_a_managed_server_nobody_can_say_how_many_it_keeps(stand: Stand) -> None:
    stand.server = None
    answer = await stand.post(PATH, {"appConfig": {"maxConcurrentModels": 2}})
    assert list(answer["ignored"]) == ["appConfig.maxConcurrentModels"]
    assert stand.runtime.current.max_loaded is None


async def test_a_section_that_is_none_is_a_mistake(stand: Stand) -> None:
    answer = await stand.post(PATH, {"serverConfig": 5}, 400)
    assert answer["error"]["fields"] == {"serverConfig": "must be an object"}


async def test_both_forms_at_once(stand: Stand) -> None:
    answer = await stand.post(PATH, {"serverConfig": {"ctx_size": 512}, "llama_config": {"n_ctx": 1024}})
    assert answer["changes"] == {"llama_config.n_ctx": 1024}, "the documented form decides"


async def test_the_level_of_the_log(stand: Stand) -> None:
    body = {
        "consoleLevel": "debug",
        "fileLevel": "info",
        "errorLevel": "error",
        "maxFileSize": "20m",
        "maxFiles": "30d",
        "enableFileLogging": True,
        "enableConsoleLogging": True,
    }
    answer = await stand.post("/api/logger/config", body)
    assert answer["success"] is True
    assert answer["data"] == {"consoleLevel": "debug", "level": "debug"}
    assert set(answer["ignored"]) == set(body) - {"consoleLevel"}
    assert stand.runtime.current.log_level == "debug"
    assert (await stand.get("/api/logger/config"))["data"]["level"] == "debug"
    changed = await stand.ask("PUT", "/api/logger/config", json={"level": "warn", "format": "json"})
    assert changed.json()["data"]["level"] == "warn"
    wrong = await stand.post("/api/logger/config", {"consoleLevel": "loud"}, 400)
    assert list(wrong["error"]["fields"]) == ["consoleLevel"]
    wrong = await stand.post("/api/logger/config", {"consoleLevel": "info", "level": 3}, 400)
    assert list(wrong["error"]["fields"]) == ["level"]
    assert (await stand.post("/api/logger/config"))["data"]["level"] == "warn"
    assert (await stand.ask("POST", "/api/logger/config", json=[1])).status_code == 400


async def test_the_level_survives_what_is_sent_of_the_log_whenever_a_form_is_saved(stand: Stand) -> None:
    """The page of one front end sends its choice with the rest, and then always these seven."""
    await stand.post(PATH, {"appConfig": {"logLevel": "debug"}})
    answer = await stand.post("/api/logger/config", dict(UNTOUCHED_LOGGER))
    assert answer["data"]["level"] == "debug"
    assert answer["ignored"]["consoleLevel"] == ALWAYS_SENT
    assert set(answer["ignored"]) == set(UNTOUCHED_LOGGER)
    answer = await stand.post("/api/logger/config", {**UNTOUCHED_LOGGER, "maxFiles": "7d"})
    assert answer["data"]["level"] == "info"


async def test_chat_templates(stand: Stand) -> None:
    document = await stand.get("/api/model-templates")
    assert (document["success"], document["data"]) == (True, {"model_templates": {}, "default_model": None})
    kept = await stand.post("/api/model-templates", {"model_templates": {"a": "chatml"}}, 405)
    assert (kept["success"], kept["error"]) == (False, "POST is not allowed here, only GET, HEAD")
