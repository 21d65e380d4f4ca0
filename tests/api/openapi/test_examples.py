"""The description of the real rooms: every operation is explained, and what it shows as an example is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from exporter import app
from exporter.api.openapi.document import describe
from exporter.settings import Settings

Json = dict[str, Any]
DOCUMENTS = ("application/json", "text/yaml", "text/event-stream")
"""Media types whose examples are documents."""


def described() -> Json:
    return describe(app.make_rooms(Settings()), "1.2.3", keys=False)


DOCUMENT = described()
OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def contents(operation: Json) -> Iterator[tuple[str, Json]]:
    """Media type and content of all that goes in and comes out."""
    yield from operation.get("requestBody", {"content": {}})["content"].items()
    for answer in operation["responses"].values():
        yield from answer.get("content", {}).items()


def examples(schema: Json) -> list[Any]:
    """Those of a schema, which may be a reference."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found: list[Any] = (DOCUMENT["components"]["schemas"][name] if name else schema).get("examples", [])
    return found


def mistakes(schema: Json, example: Any) -> list[str]:
    """What is wrong with an example."""
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)
    return [error.message for error in validator.iter_errors(example)]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_explained(operation: Json) -> None:
    assert operation["summary"]
    assert operation["description"].rstrip("`.").strip(), "one or two sentences"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_can_be_sent_has_an_example(operation: Json) -> None:
    for content in operation.get("requestBody", {"content": {}})["content"].values():
        found = examples(content["schema"])
        assert found
        assert all(mistakes(content["schema"], example) == [] for example in found)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_examples_are_what_is_described(operation: Json) -> None:
    for media, content in contents(operation):
        if "example" in content and media in DOCUMENTS:
            assert mistakes(content["schema"], content["example"]) == []


def test_another_document_would_be_noticed() -> None:
    schema = {"$ref": "#/components/schemas/Tiers"}
    assert mistakes(schema, {"tiers": []}) == []
    assert mistakes(schema, {"tiers": [{"name": "Q2"}]}) != []


def test_every_document_that_is_polled_has_an_example() -> None:
    shown = [
        path
        for path, methods in DOCUMENT["paths"].items()
        if "get" in methods
        and "example" in methods["get"]["responses"].get("200", {}).get("content", {}).get("application/json", {})
    ]
    assert len(shown) > 10


def test_recording_is_said_to_be_for_good() -> None:
    recording = [path for path in DOCUMENT["paths"] if path.startswith("/api/metrics/record/")]
    assert len(recording) == 3
    for path in recording:
        assert "really records" in DOCUMENT["paths"][path]["post"]["description"]
