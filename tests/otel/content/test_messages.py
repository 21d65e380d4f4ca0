"""Whatever is written keeps to the bounds, and is JSON that has a form in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from exporter.otel.content.messages import (
    ATTRIBUTE_BYTES,
    TEXT_CHARACTERS,
    Message,
    copy,
    cut,
    write_list,
    write_messages,
)
from tests.otel.content.schemas import check_parts, read

LONG = "é" * TEXT_CHARACTERS
"""Of 16 KiB: an attribute holds two of them, and some of a third."""


def text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


def said(role: str, *texts: str) -> Message:
    return {"role": role, "parts": list(map(text, texts))}


def write(messages: Iterable[Message]) -> list[dict[str, Any]]:
    written = f"[{','.join(write_messages(messages))}]"
    assert len(written.encode()) <= ATTRIBUTE_BYTES
    found: list[dict[str, Any]] = read("gen_ai.input.messages", written)
    for message in found:
        check_parts(message["parts"])
    return found


def texts_of(message: dict[str, Any]) -> list[str]:
    return [part["content"] for part in message["parts"]]


def test_text_of_the_greatest_length_is_whole() -> None:
    assert cut("a " * (TEXT_CHARACTERS // 2)) == "a " * (TEXT_CHARACTERS // 2)
    assert cut("a" * TEXT_CHARACTERS + "b") == "a" * (TEXT_CHARACTERS - 1) + "…"


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:audio/wav;codecs=1;base64,"])
def test_media_in_a_text_stay_away(head: str) -> None:
    assert cut(f"![seen]({head}{'iVBO' * 500}==) here") == f"![seen]({head}…) here"
    assert cut(f"![seen]({head}{'iVBO' * 50_000}==) here") == f"![seen]({head}……"


def test_text_about_media_stays() -> None:
    assert cut("write data:image/png;base64,AAAA please") == "write data:image/png;base64,AAAA please"


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        (float("nan"), None),
        ([float("inf"), 1 << 70, -(1 << 62)], [None, None, -(1 << 62)]),
        ("QUJD" * 100, "…"),
        ({"media_type": "image/png", "data": "iVBO"}, {"media_type": "image/png", "data": "…"}),
        ({"type": "image", "mimeType": "a/b", "data": "iVBO"}, {"type": "image", "mimeType": "a/b", "data": "…"}),
        ({"data": "words"}, {"data": "words"}),
    ],
)  # fmt: skip
def test_copies(value: Any, copied: Any) -> None:
    assert copy(value) == copied


def test_copy_of_what_is_deep_wide_or_long_ends() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert json.dumps(copy(deep)).count("[") == 24
    assert len(copy({str(number): number for number in range(9999)})) < 1024
    assert len(copy(list(range(9999)))) == 1023
    assert copy({"k" * 99_999: 1}) == {"k" * 255 + "…": 1}
    assert copy(["a word " * 2000, "unseen"]) == [cut("a word " * 2000, TEXT_CHARACTERS - 16)]


def test_first_messages_are_whole_while_there_is_room() -> None:
    messages = [said("user", "hi"), said("assistant", "hello", "you"), said("user", "and?") | {"name": "ada"}]
    assert write(messages) == messages
    assert write([]) == []


def test_what_does_not_fit_is_left_out_and_the_rest_not_looked_at() -> None:
    looked_at: list[int] = []

    def conversation() -> Iterator[Message]:
        for number in range(9):
            looked_at.append(number)
            yield said("user", f"{number} {LONG}")

    assert [texts_of(each)[0][:2] for each in write(conversation())] == ["0 ", "1 "]
    assert looked_at == [0, 1, 2]


def test_parts_that_do_not_fit_are_not_looked_at() -> None:
    looked_at: list[int] = []

    def parts() -> Iterator[dict[str, Any]]:
        for number in range(9):
            looked_at.append(number)
            yield text(LONG)

    assert len(write([said("user", "newest"), {"role": "user", "parts": parts()}])) == 1
    assert looked_at == [0, 1, 2]


def test_room_is_used_up() -> None:
    written = write_messages(said("user", f"{number:06}") for number in range(9000))
    size = len(f"[{','.join(written)}]".encode())
    assert ATTRIBUTE_BYTES - 100 < size <= ATTRIBUTE_BYTES


def test_first_message_stays_cut_shorter() -> None:
    numbered = [cut(f"{number} {LONG}") for number in range(9)]
    (written,) = write([said("user", *numbered), said("system", "be kind")])
    *others, third = texts_of(written)
    assert others == numbered[:2]
    assert third.startswith("2 é")
    assert third.endswith("é…")
    assert 1000 < len(third) < TEXT_CHARACTERS // 3


@pytest.mark.parametrize("character", ["\x01", "\U0001f600", '"', "\ud800"])
def test_characters_that_are_long_in_json(character: str) -> None:
    (written,) = write([said("user", character * 99_999)])
    (content,) = texts_of(written)
    assert len(content) > TEXT_CHARACTERS // 2


def test_values_that_are_long_in_json() -> None:
    response = {"type": "tool_call_response", "id": "\x01" * 256, "response": ["\x01" * 99] * 999}
    (written,) = write([{"role": "\x01" * 256, "name": "\x01" * 256, "parts": [response]}])
    assert len(written["parts"][0]["response"]) > 50


def test_lone_surrogates_become_replacement_characters() -> None:
    (written,) = write([said("user", "\ud800 \udfff \U0001f600")])
    assert texts_of(written) == ["\ufffd \ufffd \U0001f600"]


def test_lists() -> None:
    assert write_list([text("a"), text("b")]) == (json.dumps([text("a"), text("b")], separators=(",", ":")), True)
    written, is_whole = write_list([text("a b " * 2000)] * 9, 12_000)
    assert [len(each["content"]) for each in json.loads(written)] == [8000]
    assert not is_whole
    assert write_list([text("too long")], 20) == ("[]", False)
