"""JSON Schemas of the types that operations speak of, by pydantic, each type once and under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

Mode = Literal["validation", "serialization"]
VALIDATION: Mode = "validation"
"""Of what comes in."""
SERIALIZATION: Mode = "serialization"
"""Of what goes out."""
Use = tuple[Any, Mode]
"""A type, and which way it goes."""

COMPONENT = "#/components/schemas/"


class Schemas:
    """The schemas of some types."""

    def __init__(self, uses: Sequence[Use]) -> None:
        inputs = {_key(shape, mode): (mode, TypeAdapter(shape)) for shape, mode in uses}
        found, definitions = TypeAdapter.json_schemas(
            [(key, mode, adapter) for key, (mode, adapter) in inputs.items()],
            ref_template=COMPONENT + "{model}",
            schema_generator=Generator,
        )
        components: dict[str, JsonSchemaValue] = definitions.get("$defs", {})
        names = {COMPONENT + name: COMPONENT + _readable(name) for name in components}
        self._by_use = {key: _rename(schema, names) for (key, _), schema in found.items()}
        self.components = {
            _readable(name): _rename(components[name], names) for name in sorted(components, key=_readable)
        }
        """By name, sorted."""

    def of(self, shape: Any, mode: Mode) -> JsonSchemaValue:
        """The schema of one of the types: mostly a reference to a component."""
        return dict(self._by_use[_key(shape, mode)])


def _key(shape: Any, mode: Mode) -> tuple[int, Mode]:
    """Types need not be hashable: `Annotated` ones are what their annotations are."""
    return id(shape), mode


class Generator(GenerateJsonSchema):
    """Without the titles that pydantic makes of field names; and documents are closed, since mypy sees to it that they
    have no key that their type has not."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: it says nothing that the name does not."""
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        """One document."""
        return {"additionalProperties": False, **super().typed_dict_schema(schema)}


def _readable(name: str) -> str:
    """`exporter__api__health__Readiness`, as pydantic calls it where another room has a `Readiness`, is
    `HealthReadiness`."""
    *modules, last = name.split("__")
    words = [word for module in modules if module not in ("exporter", "api") for word in module.split("_")]
    return "".join(word[:1].upper() + word[1:] for word in words) + last


def _rename(schema: Any, names: Mapping[str, str]) -> Any:
    """A schema with other references."""
    if isinstance(schema, dict):
        return {
            key: names[value] if key == "$ref" and isinstance(value, str) else _rename(value, names)
            for key, value in schema.items()
        }
    return [_rename(each, names) for each in schema] if isinstance(schema, list) else schema
