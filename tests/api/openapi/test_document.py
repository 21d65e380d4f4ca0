"""The description as a document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from exporter.api.openapi.document import ErrorAnswer, ErrorFacts, describe
from exporter.api.room import refuse
from tests.api.openapi.rooms import rooms


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(rooms(), "1.2.3", keys=False)


@pytest.fixture(scope="module")
def guarded() -> dict[str, Any]:
    return describe(rooms(), "1.2.3", keys=True)


def answers(document: dict[str, Any], path: str, method: str = "get") -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]["responses"]
    return found


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


@pytest.mark.parametrize("keys", [False, True])
def test_it_is_openapi(keys: bool) -> None:
    document = describe(rooms(), "1.2.3", keys=keys)
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_is_the_same_each_time(document: dict[str, Any]) -> None:
    assert json.dumps(describe(rooms(), "1.2.3", keys=False)) == json.dumps(document)


def test_every_operation_is_in_it_by_room(document: dict[str, Any]) -> None:
    described = [
        (method, path, *operation["tags"], operation["operationId"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert described == [
        (operation.method.lower(), operation.path.replace(":path", ""), room.name, operation.name)
        for room in rooms()
        for operation in room.operations
    ]
    assert [tag["name"] for tag in document["tags"]] == ["Health", "Own", "Index"]


def test_sockets_are_mentioned(document: dict[str, Any]) -> None:
    health, own, _ = (tag["description"] for tag in document["tags"])
    assert own == "Has everything.\n\nWebSocket, which OpenAPI cannot describe: `/own/ws`."
    assert "WebSocket" not in health


def test_parameters(document: dict[str, Any]) -> None:
    operation = document["paths"]["/own"]["get"]
    assert operation["description"] == "In *two* forms."
    assert operation["parameters"] == [
        {
            "name": "limit",
            "in": "query",
            "description": "At most",
            "required": False,
            "schema": {"type": "integer", "minimum": 1, "default": 20},
        },
        {
            "name": "state",
            "in": "query",
            "description": "Only these",
            "required": False,
            "schema": {"type": "string", "enum": ["idle", "busy"]},
        },
    ]


def test_parts_of_the_path(document: dict[str, Any]) -> None:
    operation = document["paths"]["/own/{name}/part/{number}"]["put"]
    part = {"in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    assert operation["parameters"][:2] == [
        {"name": "name", "description": "Whose", **part},
        {"name": "number", "description": "Which", **part},
    ]
    assert [each["in"] for each in operation["parameters"]] == ["path", "path", "query"]
    assert operation["requestBody"]["required"] is False


def test_body(document: dict[str, Any]) -> None:
    body = document["paths"]["/own"]["post"]["requestBody"]
    assert body == {"required": True, "content": {"application/json": {"schema": ref("Order")}}}
    assert document["components"]["schemas"]["Order"] == {
        "title": "Order",
        "description": "What can be asked for.",
        "type": "object",
        "properties": {"interval": {"type": "number", "minimum": 0.5, "maximum": 3600}},
        "required": ["interval"],
        "additionalProperties": False,
    }


def test_answers(document: dict[str, Any]) -> None:
    found = answers(document, "/own")
    assert list(found) == ["200", "204", "405", "500"]
    assert found["200"] == {
        "description": "As JSON; or: As text",
        "headers": {"X-Size": {"description": "How much", "schema": {"type": "string"}}},
        "content": {
            "application/json": {"schema": ref("Outer")},
            "text/plain": {"schema": {"type": "string"}},
        },
    }
    assert found["204"] == {"description": "Nothing"}


def test_documents_are_closed_and_explained(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Outer"] == {
        "title": "Outer",
        "description": "A document.",
        "type": "object",
        "properties": {
            "parts": {"type": "array", "items": ref("Inner"), "description": "What it has."},
            "note": {"type": "string"},
        },
        "required": ["parts"],
        "additionalProperties": False,
    }


def test_a_stream_is_described_by_its_events(document: dict[str, Any]) -> None:
    schema = answers(document, "/own/stream")["200"]["content"]["text/event-stream"]["schema"]
    assert schema["required"] == ["data"]
    assert schema["properties"]["data"] == {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": ref("Outer"),
    }


def test_types_of_one_name_have_two(document: dict[str, Any]) -> None:
    ours, theirs = (
        answers(document, path)["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for path in ("/-/ready", "/own/ready")
    )
    schemas = document["components"]["schemas"]
    assert ours == "HealthReadiness"
    assert set(schemas[ours]["properties"]) == {"ready", "upstreams"}
    assert set(schemas[theirs]["properties"]) == {"yes"}
    assert list(schemas) == sorted(schemas)
    assert schemas[ours]["properties"]["upstreams"]["additionalProperties"] == ref("UpstreamReadiness")


def test_errors_are_in_the_form_of_the_room(document: dict[str, Any]) -> None:
    own = answers(document, "/own/ready")["405"]
    assert own["content"] == {"application/yaml": {"schema": ref("Refusal")}}
    assert own["headers"].keys() == {"Allow"}
    common = answers(document, "/-/ready")["500"]
    assert common["content"] == {"application/json": {"schema": ref("ErrorAnswer")}}


def test_an_operation_that_knows_better_is_believed(document: dict[str, Any]) -> None:
    assert answers(document, "/own/stream")["500"]["description"] == "Its own failure"


def test_the_common_form_is_what_is_answered() -> None:
    expected: ErrorAnswer = {"error": ErrorFacts(code=405, message="no")}
    assert json.loads(bytes(refuse(405, "no").body)) == expected


def test_pages_of_other_origins_can_be_refused_changes(document: dict[str, Any]) -> None:
    assert "403" in answers(document, "/own", "post")
    assert "403" not in answers(document, "/own")


def test_without_keys_nothing_is_said_of_them(document: dict[str, Any]) -> None:
    assert "security" not in document
    assert document["components"].keys() == {"schemas"}
    assert all("401" not in answers(document, path, method) for path, ms in document["paths"].items() for method in ms)


def test_keys(guarded: dict[str, Any]) -> None:
    assert guarded["components"]["securitySchemes"] == {
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    assert guarded["security"] == [{"apiKey": []}, {"bearer": []}]
    refused = answers(guarded, "/own")["401"]
    assert refused["headers"].keys() == {"WWW-Authenticate"}
    assert refused["content"].keys() == {"application/yaml"}
    assert "security" not in guarded["paths"]["/own"]["get"]


def test_what_is_open_needs_no_key(guarded: dict[str, Any]) -> None:
    assert guarded["paths"]["/-/healthy"]["get"]["security"] == []
    assert "401" not in answers(guarded, "/-/healthy")
