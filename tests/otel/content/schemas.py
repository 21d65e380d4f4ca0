"""The JSON schemas of the GenAI conventions, for attributes that hold messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft7Validator

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "semconv"
DOCUMENTS: dict[str, dict[str, Any]] = {
    name: json.loads((FOLDER / f"gen-ai-{name.partition('.')[2].replace('.', '-').replace('_', '-')}.json").read_text())
    for name in (
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
    )
}
# Of draft 7 is what the schema of tools refers to for their parameters; no other keywords are used.
VALIDATORS = {name: Draft7Validator(document) for name, document in DOCUMENTS.items()}
PART_NAMES = {
    "text": "TextPart",
    "reasoning": "ReasoningPart",
    "tool_call": "ToolCallRequestPart",
    "tool_call_response": "ToolCallResponsePart",
    "server_tool_call": "ServerToolCallPart",
    "server_tool_call_response": "ServerToolCallResponsePart",
    "blob": "BlobPart",
    "file": "FilePart",
    "uri": "UriPart",
}
DEFINITIONS = DOCUMENTS["gen_ai.output.messages"]["$defs"]
PARTS = {
    kind: Draft7Validator({"allOf": [{"$ref": f"#/$defs/{name}"}], "$defs": DEFINITIONS})
    for kind, name in PART_NAMES.items()
}


def read(name: str, attribute: str) -> Any:
    """The value of an attribute, which is valid, and has a form in UTF-8."""
    attribute.encode()
    value = json.loads(attribute, parse_constant=refuse)
    VALIDATORS[name].validate(value)
    return value


def refuse(constant: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(constant)


def check_parts(parts: list[dict[str, Any]]) -> None:
    """Each is what its type says: the schemas take anything with a type for a generic part."""
    for part in parts:
        if part["type"] in PARTS:
            PARTS[part["type"]].validate(part)
