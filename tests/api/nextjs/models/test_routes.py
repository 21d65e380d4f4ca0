"""Listing, registering, finding, changing and removing models, over HTTP and with real models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.nextjs.stand import Stand, managing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path) as made:
        yield made


async def mistakes(stand: Stand, method: str, path: str, body: Any, status: int = 400) -> dict[str, str]:
    """What is wrong with a body, by field."""
    answer = await stand.ask(method, path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    fields: dict[str, str] = error["fields"]
    assert error["details"] == "; ".join(f"{field}: {reason}" for field, reason in fields.items())
    return fields


async def test_the_document_says_what_is_answered(stand: Stand) -> None:
    body = {
        "models": [
            {
                "name": "mistral-7b",
                "description": "Mistral model",
                "path": "a.gguf",
                "family": "mistral",
                "version": "1.0",
            }
        ]
    }
    answer = await stand.post("/api/models", body)
    assert answer["message"] == "Model registered successfully"
    assert answer["registered"] == 1
    assert answer["models"] == [{"id": "mistral-7b", "name": "mistral-7b", "status": "registered"}]
    listed = await stand.get("/api/models")
    assert listed["count"] == 1
    (model,) = listed["models"]
    assert listed["data"] == listed["models"] == answer["data"]
    assert {**model, "createdAt": "", "updatedAt": ""} == {
        "id": "mistral-7b",
        "name": "mistral-7b",
        "description": "Mistral model",
        "status": "stopped",
        "version": "1.0",
        "path": str(stand.root / "a.gguf"),
        "size": (stand.root / "a.gguf").stat().st_size,
        "family": "mistral",
        "contextSize": 8192,
        "loadedAt": None,
        "lastUsed": None,
        "format": "gguf",
        "quantization": "F32",
        "registered": True,
        "upstream": "engine",
        "error": None,
        "outdated": False,
        "parameters": {},
        "createdAt": "",
        "updatedAt": "",
        "type": "mistral",
        "available": True,
    }


async def test_several_are_registered_or_none(stand: Stand) -> None:
    answer = await stand.register("a", "b")
    assert (answer["message"], answer["registered"]) == ("Models registered successfully", 2)
    await stand.post("/api/models", {"models": [{"name": "c", "path": "b.gguf"}, {"name": "a", "path": "a.gguf"}]}, 409)
    assert [each["name"] for each in (await stand.get("/api/models"))["models"]] == ["a", "b"]


async def test_one_without_a_list_around_it(stand: Stand) -> None:
    """As a real front end sends it, with keys of its own."""
    body = {"name": "a", "path": "a.gguf", "type": "llama", "status": "idle", "parameters": {"n_ctx": 512}, "own": [1]}
    answer = await stand.post("/api/models", body)
    assert answer["data"]["name"] == "a"
    assert answer["data"]["parameters"] == {"n_ctx": 512}
    assert answer["data"]["status"] == "stopped"


async def test_what_was_found_can_be_registered_as_it_is(stand: Stand) -> None:
    found = await stand.post("/api/models/discover")
    assert found["discovered"] == found["data"]["discovered"]
    assert [each["name"] for each in found["discovered"]] == ["a", "b"]
    assert (found["totalFound"], found["errors"], found["scannedPaths"]) == (2, [], [str(stand.root)])
    first = found["discovered"][0]
    assert set(first) == {
        *("name", "description", "version", "path", "family", "size", "format", "quantization", "contextSize")
    }
    assert (first["path"], first["contextSize"]) == (str(stand.root / "a.gguf"), 8192)
    await stand.post("/api/models", {"models": found["discovered"]})
    assert (await stand.get("/api/models"))["count"] == 2


async def test_discovery_as_the_document_asks(stand: Stand) -> None:
    (stand.root / "broken.gguf").write_bytes(b"no model")
    (stand.root / "deeper").mkdir()
    (stand.root / "a.gguf").rename(stand.root / "deeper" / "a.gguf")
    body = {"paths": [str(stand.root)], "recursive": False, "includePatterns": ["*.gguf", "*.bin"]}
    found = await stand.post("/api/models/discover", body)
    assert [each["name"] for each in found["discovered"]] == ["b"]
    assert found["totalFound"] == 2
    ((error),) = found["errors"]
    assert error["path"] == str(stand.root / "broken.gguf")
    assert error["error"]
    body = {"paths": [str(stand.root)], "recursive": True, "excludePatterns": ["b*"]}
    found = await stand.post("/api/models/discover", body)
    assert [each["name"] for each in found["discovered"]] == ["a"]


async def test_outside_the_folders(stand: Stand) -> None:
    for path, body in (
        ("/api/models/discover", {"paths": ["/etc"]}),
        ("/api/models/discover", {"paths": ["../.."]}),
        ("/api/models", {"models": [{"name": "x", "path": "/etc/passwd"}]}),
    ):
        answer = await stand.post(path, body, 403)
        assert answer["error"]["code"] == "FORBIDDEN"
    await stand.register("a")
    answer = await stand.ask("PUT", "/api/models/a", json={"path": "../x.gguf"})
    assert answer.status_code == 403


async def test_every_mistake_is_named(stand: Stand) -> None:
    register = "/api/models"
    assert await mistakes(stand, "POST", register, {"models": [{"name": 1}, {"path": "a.gguf", "nam": "x"}, "b"]}) == {
        "models.0.name": "must be a text",
        "models.1.name": "is required",
        "models.1.nam": "unknown; did you mean 'name'?",
        "models.2": "must be an object",
    }
    assert await mistakes(stand, "POST", register, {}) == {"models": "is required"}
    assert await mistakes(stand, "POST", register, {"models": []}) == {"models": "must not be empty"}
    assert await mistakes(stand, "POST", register, [1]) == {"body": "must be an object"}
    assert await mistakes(stand, "POST", register, {"modls": []}) == {
        "models": "is required",
        "modls": "unknown; did you mean 'models'?",
    }
    nested = {"models": [{"name": "a", "path": "a.gguf", "parameters": {"temprature": 1}}]}
    assert list(await mistakes(stand, "POST", register, nested)) == ["models.0.parameters.temprature"]
    bare = {"name": "a", "path": "a.gguf", "parameters": {"n_ctx": [1]}}
    assert await mistakes(stand, "POST", register, bare) == {
        "parameters.n_ctx": "must be true, false, a number or a text"
    }
    assert list(await mistakes(stand, "POST", register, {"name": "a]", "path": "a.gguf"})) == ["name"]
    discover = "/api/models/discover"
    assert await mistakes(stand, "POST", discover, {"path": [], "recursive": "yes"}) == {
        "path": "unknown; did you mean 'paths'?",
        "recursive": "must be true or false",
    }


async def test_no_json(stand: Stand) -> None:
    for path in ("/api/models", "/api/models/discover"):
        answer = await stand.ask("POST", path, content=b"{'name'")
        assert answer.status_code == 400
        assert list(answer.json()["error"]["fields"]) == ["body"]


@pytest.mark.parametrize("name", ["a", "org/a", "org/a:Q4_K_M", "a b", "ä", "discover/x", "..x", "100%"])
async def test_one_model_by_its_name(stand: Stand, name: str) -> None:
    await stand.post("/api/models", {"name": name, "path": "a.gguf"})
    for path in (quote(name), quote(name, safe="")):
        shown = await stand.get(f"/api/models/{path}")
        assert shown["name"] == name
        assert shown["data"] == {key: shown[key] for key in shown["data"]}
        changed = await stand.ask("PUT", f"/api/models/{path}", json={"description": "for the night shift"})
        assert changed.json()["data"]["description"] == "for the night shift"
        started = await stand.ask("POST", f"/api/models/{path}/start")
        assert started.json()["model"] == name
        await stand.post(f"/api/models/{path}/unload", status=202)
    removed = await stand.ask("DELETE", f"/api/models/{quote(name, safe='')}")
    assert (removed.status_code, removed.json()["modelId"]) == (200, name)


async def test_a_change_names_what_it_changes(stand: Stand) -> None:
    await stand.register("a", description="old", version="1")
    answer = await stand.ask("PUT", "/api/models/a", json={"version": "2", "parameters": {"n_ctx": 512}})
    assert answer.json()["message"] == "Model updated successfully"
    shown = await stand.get("/api/models/a")
    assert (shown["description"], shown["version"], shown["parameters"]) == ("old", "2", {"n_ctx": 512})
    assert (await stand.ask("PUT", "/api/models/a", json=shown)).status_code == 400, "envelopes are no part of a model"
    assert (await stand.ask("PUT", "/api/models/a", json=shown["data"])).status_code == 200
    assert await mistakes(stand, "PUT", "/api/models/a", {"name": "b"}) == {
        "name": "a model keeps its name: remove it, and register it anew"
    }
    assert await mistakes(stand, "PUT", "/api/models/a", {"descripton": "x"}) == {
        "descripton": "unknown; did you mean 'description'?"
    }
    assert list(await mistakes(stand, "PUT", "/api/models/a", {"parameters": {"n_ctx": -7}})) == ["parameters.n_ctx"]


async def test_a_change_of_a_loaded_model_makes_it_outdated(stand: Stand) -> None:
    await stand.register("a")
    await stand.post("/api/models/a/start")
    await stand.ask("PUT", "/api/models/a", json={"parameters": {"n_ctx": 512}})
    shown = await stand.get("/api/models/a")
    assert (shown["outdated"], shown["status"]) == (True, "running")


async def test_removing(stand: Stand) -> None:
    await stand.register("a")
    await stand.post("/api/models/a/start")
    refused = await stand.ask("DELETE", "/api/models/a")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "CONFLICT")
    await stand.post("/api/models/a/stop")
    answer = await stand.ask("DELETE", "/api/models/a")
    assert answer.json()["message"] == "Model removed successfully"
    assert (stand.root / "a.gguf").exists()
    assert (await stand.ask("DELETE", "/api/models/a")).status_code == 404


async def test_models_that_there_are_not(stand: Stand) -> None:
    for method, path in (
        ("GET", "/api/models/x"),
        ("PUT", "/api/models/x"),
        ("DELETE", "/api/models/x"),
        ("POST", "/api/models/x/load"),
        ("POST", "/api/models/x/unload"),
        ("GET", "/api/models/"),
        ("GET", "/api/models/a/analyze"),
    ):
        answer = await stand.ask(method, path)
        assert answer.status_code == 404, (method, path)
        assert answer.json()["error"]["code"] == "NOT_FOUND"
