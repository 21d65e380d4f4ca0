"""Reads the sidecar's JSON into dataclasses: the annotations of a class say what its document looks like.

A field `context_size` is read from `contextSize`, or else from `context_size`. Keys that no field names are only in
`raw`; what may be missing is `T | None`, a tuple or a mapping, and is then None or empty, also where it is of another
kind. What must be there and is not is a ProtocolError that says where.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from exporter.client.llama_proxy.errors import ProtocolError


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An object of an answer."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """As it came, with everything that has no field."""


D = TypeVar("D", bound=Document)


def read(kind: type[D], value: object, at: str = "the answer") -> D:
    """The document as one of that class. `at` is its place in the answer, for the message of a ProtocolError."""
    if not isinstance(value, dict):
        raise ProtocolError(f"{at} is no object")
    found = {name: _read(hint, _member(value, name), f"{at}.{name}") for name, hint in _hints(cast(Any, kind))}
    return kind(raw=value, **found)


def _member(document: dict[str, Any], name: str) -> Any:
    first, *rest = name.split("_")
    camel = first + "".join(word.title() for word in rest)
    return document[camel] if camel in document else document.get(name)


@functools.cache
def _hints(kind: type[Document]) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((each.name, hints[each.name]) for each in fields(kind) if each.name != "raw")


def _read(hint: Any, value: Any, at: str) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return _optional(inner, value, at)
    if is_dataclass(hint):
        # A part of an answer, all of whose fields may be missing, may itself be.
        return read(cast(type[Document], hint), {} if value is None else value, at)
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        return tuple(_read(inner, each, f"{at}[{index}]") for index, each in enumerate(_list(value)))
    if get_origin(hint) is Mapping:
        inner = get_args(hint)[1]
        return {key: _read(inner, each, f"{at}.{key}") for key, each in _object(value).items()}
    if hint is Any:
        return value
    return _scalar(hint, value, at)


def _optional(hint: Any, value: Any, at: str) -> Any:
    if value is None:
        return None
    try:
        return _read(hint, value, at)
    except ProtocolError:
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _scalar(hint: Any, value: Any, at: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and value == value // 1:
        return int(value)
    if hint is datetime and isinstance(value, str):
        return _moment(value, at)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    raise ProtocolError(f"{at} is {'missing' if value is None else f'no {hint.__name__}'}")


def _moment(text: str, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ProtocolError(f"{at} is no time") from None
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
