"""Of a JSON document that breaks off anywhere, what was there is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.otel.content.fragment import parse_beginning

DOCUMENT = {
    "choices": [
        {"message": {"role": "assistant", "content": 'é\n"\\ \U0001f600 end'}, "n": [1.5, -20, True, None, []]}
    ],
    "empty": {},
    "": "",
}


def is_beginning(found: Any, whole: Any) -> bool:
    """Whether everything found is there in the whole."""
    if isinstance(found, dict) and isinstance(whole, dict):
        return all(key in whole and is_beginning(found[key], whole[key]) for key in found)
    if isinstance(found, list) and isinstance(whole, list):
        return len(found) <= len(whole) and all(map(is_beginning, found, whole))
    if isinstance(found, str) and isinstance(whole, str):
        return whole.startswith(found.rstrip("\ud83d"))
    # The digits of a number that is cut off are one, too.
    return found == whole or (type(found) in (int, float) and str(whole).startswith(str(found).rstrip("0").rstrip(".")))


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_every_beginning(ascii_only: bool, indent: int | None) -> None:
    data = json.dumps(DOCUMENT, ensure_ascii=ascii_only, indent=indent).encode()
    last = 0
    for end in range(1, len(data) + 1):
        found = parse_beginning(data[:end])
        assert is_beginning(found, DOCUMENT), (data[:end], found)
        kept = len(json.dumps(found, ensure_ascii=False))
        assert kept >= last - 40, "what was there once does not vanish"
        last = kept
    assert parse_beginning(data) == DOCUMENT


def test_text_is_kept_up_to_its_last_character() -> None:
    assert parse_beginning(b'{"a": "one tw') == {"a": "one tw"}
    assert parse_beginning(b'{"a": "one\\') == {"a": "one"}
    assert parse_beginning(b'{"a": "one\\\\') == {"a": "one\\"}
    assert parse_beginning(b'{"a": "one\\u00') == {"a": "one"}
    assert parse_beginning(b'{"a": "\xc3') == {"a": ""}


def test_half_a_key_or_a_word_is_left_out() -> None:
    assert parse_beginning(b'{"a": 1, "b') == {"a": 1}
    assert parse_beginning(b'{"a": 1, "b":') == {"a": 1}
    assert parse_beginning(b'{"a": [1, tru') == {"a": [1]}


@pytest.mark.parametrize("data", [b"", b"}", b"nonsense", b"<html>", b'{"a" 1, 2', b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_beginning(data)
