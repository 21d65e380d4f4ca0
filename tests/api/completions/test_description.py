"""What is answered is what is described: documents of every kind, by an independent validator."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from exporter.api import completions
from exporter.api.completions.rows import completion_request
from exporter.api.openapi.document import describe
from tests.api.completions.captures import stored_rows
from tests.api.completions.past import FakePast, get, stored
from tests.api.views import make_views

DOCUMENT = describe([completions.room(make_views())], "1.2.3", keys=False)


def mistakes(path: str, status: int, document: Any) -> list[str]:
    content = DOCUMENT["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    found = Draft202012Validator(schema, validate_formats=True).iter_errors(document)
    return [error.message for error in found]


@pytest.mark.parametrize("query", ["", "?start=2024-01-15T10:00:05", "?end=2000-01-01", "?start=x"])
async def test_figures(query: str) -> None:
    answer = await get(f"/metrics{query}", FakePast([*stored_rows(), stored()]))
    assert answer.status_code == (400 if query.endswith("x") else 200)
    assert mistakes("/metrics", answer.status_code, answer.json()) == []


def test_rows() -> None:
    rows = [completion_request(row) for row in (*stored_rows(), stored())]
    assert mistakes("/completion_requests", 200, rows) == []


@pytest.mark.parametrize("past", [FakePast(), None])
async def test_health(past: FakePast | None) -> None:
    answer = await get("/health", past)
    assert mistakes("/health", answer.status_code, answer.json()) == []


def test_examples() -> None:
    seen = 0
    for path, methods in DOCUMENT["paths"].items():
        for status, response in methods["get"]["responses"].items():
            for content in response["content"].values():
                if "example" in content:
                    assert mistakes(path, int(status), content["example"]) == []
                    seen += 1
    assert seen >= 7


def test_another_document_would_be_noticed() -> None:
    row = completion_request(stored())
    assert mistakes("/completion_requests", 200, [{**row, "more": 1}])
    assert mistakes("/completion_requests", 200, [{**row, "success": 1}])
    assert mistakes("/completion_requests", 200, [{**row, "timestamp": "2024-01-15T10:00:00"}])
    assert mistakes("/completion_requests", 200, [{**row, "error_type": "server_error"}])
