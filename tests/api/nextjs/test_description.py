"""The description of the room: it is OpenAPI, its examples are what is described, and so is what is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from exporter.api.openapi.document import describe
from tests.api.completions.past import FakePast
from tests.api.nextjs.stand import Stand, managing
from tests.api.synapse.desk import model, seen, server
from tests.telemetry.examples import HOST, SNAPSHOT

WELL = seen(server("Q2", model("a")), server("Q3", model("c")), host=HOST, gpus=SNAPSHOT.gpus)
ROUTES = {
    *("get /api/models", "post /api/models", "post /api/models/discover"),
    *("get /api/models/{name}", "put /api/models/{name}", "delete /api/models/{name}"),
    *("post /api/models/{name}/load", "post /api/models/{name}/unload"),
    *("post /api/models/{name}/start", "post /api/models/{name}/stop"),
    *("get /api/config", "post /api/config", "put /api/config"),
    *("get /api/monitoring", "get /api/monitoring/latest", "get /api/monitoring/history"),
    *("get /api/parameters", "get /api/parameters/{category}", "get /api/parameters/category/{name}"),
    *("post /api/parameters/{category}", "get /api/health", "get /api/status"),
    *("get /api/logger/config", "post /api/logger/config", "put /api/logger/config"),
    "get /api/model-templates",
}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with managing(tmp_path, views={"past": FakePast()}) as made:
        made.snapshot = WELL
        yield made


def description(stand: Stand) -> dict[str, Any]:
    return describe([stand.room], "1.2.3", keys=False)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def mistakes(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    validator = Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]


async def test_it_is_openapi_and_complete(stand: Stand) -> None:
    document = description(stand)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert {name for name, _ in operations(document)} == ROUTES
    for name, operation in operations(document):
        in_path = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert in_path == {part[1:-1] for part in name.split("/") if part.startswith("{")}
        assert operation["summary"]
        assert operation["description"]
        assert "429" in operation["responses"]


async def test_examples_are_what_is_described(stand: Stand) -> None:
    document = description(stand)
    seen = 0
    for name, operation in operations(document):
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                if "example" in content:
                    seen += 1
                    assert mistakes(document, content["schema"], content["example"]) == [], name
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            kind = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
            assert kind["examples"], name
            assert [mistakes(document, body["schema"], each) for each in kind["examples"]] == [[]] * len(
                kind["examples"]
            )
    assert seen >= len(ROUTES)


CALLS = [
    ("get", "/api/models", "/api/models", None),
    ("post", "/api/models", "/api/models", {"models": [{"name": "a", "path": "a.gguf"}]}),
    ("post", "/api/models", "/api/models", {"name": "b", "path": "b.gguf"}),
    ("post", "/api/models", "/api/models", {"models": [{"name": "a", "path": "a.gguf"}]}),
    ("post", "/api/models", "/api/models", {"models": [{"name": "x", "path": "/etc/x"}]}),
    ("post", "/api/models", "/api/models", {}),
    ("post", "/api/models/discover", "/api/models/discover", {}),
    ("get", "/api/models/{name}", "/api/models/a", None),
    ("get", "/api/models/{name}", "/api/models/x", None),
    ("put", "/api/models/{name}", "/api/models/a", {"version": "2"}),
    ("post", "/api/models/{name}/load", "/api/models/a/load", {"config": {"n_ctx": 512}}),
    ("post", "/api/models/{name}/unload", "/api/models/a/unload", {}),
    ("post", "/api/models/{name}/unload", "/api/models/b/unload", {}),
    ("post", "/api/models/{name}/start", "/api/models/b/start", {}),
    ("post", "/api/models/{name}/start", "/api/models/x/start", {}),
    ("delete", "/api/models/{name}", "/api/models/b", None),
    ("post", "/api/models/{name}/stop", "/api/models/b/stop", None),
    ("delete", "/api/models/{name}", "/api/models/b", None),
    ("get", "/api/config", "/api/config", None),
    ("post", "/api/config", "/api/config", {"llama_config": {"temperature": 0.1}, "appConfig": {"own": 1}}),
    ("put", "/api/config", "/api/config", {"app": {"port": 1}}),
    ("get", "/api/monitoring", "/api/monitoring", None),
    ("get", "/api/monitoring/latest", "/api/monitoring/latest", None),
    ("get", "/api/monitoring/history", "/api/monitoring/history", None),
    ("get", "/api/monitoring/history", "/api/monitoring/history?hours=x", None),
    ("get", "/api/parameters", "/api/parameters", None),
    ("get", "/api/parameters/{category}", "/api/parameters/performance", None),
    ("get", "/api/parameters/category/{name}", "/api/parameters/category/flash_attn", None),
    ("post", "/api/parameters/{category}", "/api/parameters/model", {"parameters": {"top_k": 2}}),
    ("get", "/api/health", "/api/health", None),
    ("get", "/api/status", "/api/status", None),
    ("get", "/api/logger/config", "/api/logger/config", None),
    ("post", "/api/logger/config", "/api/logger/config", {"consoleLevel": "warn", "own": 1}),
    ("get", "/api/model-templates", "/api/model-templates", None),
]


async def test_what_is_served_is_what_is_described(stand: Stand) -> None:
    document = description(stand)
    statuses = set()
    for method, route, path, body in CALLS:
        given: dict[str, Any] = {} if body is None else {"json": body}
        answer = await stand.ask(method.upper(), path, **given)
        described = document["paths"][route][method]["responses"][str(answer.status_code)]
        schema = described["content"]["application/json"]["schema"]
        assert mistakes(document, schema, answer.json()) == [], (method, path, answer.text)
        statuses.add(answer.status_code)
    assert statuses >= {200, 202, 400, 403, 404, 409}
