"""What a document may lack, and what it may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Part(Document):
    size: int | None


@dataclass(frozen=True, slots=True)
class Named(Document):
    name: str


@dataclass(frozen=True, slots=True)
class Whole(Document):
    name: str
    is_big: bool | None
    share: float | None
    made_at: datetime | None
    part: Part
    optional: Named | None
    names: tuple[str, ...]
    parts: Mapping[str, Part]


def test_only_a_name_is_needed_here() -> None:
    whole = read(Whole, {"name": "x"})
    assert (whole.is_big, whole.share, whole.made_at, whole.optional) == (None, None, None, None)
    assert (whole.part.size, whole.names, whole.parts) == (None, (), {})


def test_unknown_keys_are_kept_in_raw() -> None:
    document = {"name": "x", "newKey": [1]}
    assert read(Whole, document).raw == document


def test_an_answer_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        read(Part, {"size": 1}).size = 2  # type: ignore[misc]


def test_both_spellings_are_read_and_the_contracts_own_first() -> None:
    assert read(Whole, {"name": "x", "isBig": True}).is_big is True
    assert read(Whole, {"name": "x", "is_big": True}).is_big is True
    assert read(Whole, {"name": "x", "isBig": False, "is_big": True}).is_big is False


@pytest.mark.parametrize(
    ("key", "value", "read_as"),
    [
        ("share", 3, 3.0),
        ("share", True, None),
        ("share", "3", None),
        ("isBig", 1, None),
        ("madeAt", "2024-01-15T10:00:00.5Z", datetime(2024, 1, 15, 10, 0, 0, 500_000, tzinfo=UTC)),
        ("madeAt", "2024-01-15T12:00:00+02:00", datetime(2024, 1, 15, 10, tzinfo=UTC)),
        ("madeAt", "2024-01-15T10:00:00", datetime(2024, 1, 15, 10, tzinfo=UTC)),
        ("madeAt", "yesterday", None),
        ("madeAt", 5, None),
        ("optional", {"nam": "x"}, None),
        ("names", "abc", ()),
        ("parts", [], {}),
    ],
)
def test_what_may_be_missing_may_be_of_another_kind(key: str, value: Any, read_as: Any) -> None:
    attribute = {"isBig": "is_big", "madeAt": "made_at"}.get(key, key)
    assert getattr(read(Whole, {"name": "x", key: value}), attribute) == read_as


@pytest.mark.parametrize(("size", "read_as"), [(3, 3), (3.0, 3), (3.5, None), (float("nan"), None), (True, None)])
def test_whole_numbers(size: object, read_as: int | None) -> None:
    assert read(Part, {"size": size}).size == read_as


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the answer is no object"),
        ({}, "the answer.name is missing"),
        ({"name": 5}, "the answer.name is no str"),
        ({"name": "x", "part": []}, "the answer.part is no object"),
        ({"name": "x", "names": ["a", 5]}, r"the answer.names\[1\] is no str"),
        ({"name": "x", "parts": {"a": 5}}, "the answer.parts.a is no object"),
    ],
)
def test_what_must_be_there(document: object, message: str) -> None:
    with pytest.raises(ProtocolError, match=f"^{message}$"):
        read(Whole, document)
