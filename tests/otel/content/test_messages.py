"""Whatever is written keeps to the bounds, and is JSON that has a form in UTF-8."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.otel.content.messages import (
    ATTRIBUTE_BYTES,
    TEXT_CHARACTERS,
    Message,
    copy,
    cut,
    write_answers,
    write_conversation,
    write_first_fitting,
    write_parts,
)
from tests.otel.content.schemas import read

INPUT = "gen_ai.input.messages"
OUTPUT = "gen_ai.output.messages"
LONG = "é" * TEXT_CHARACTERS


def said(role: str, *texts: str) -> Message:
    return {"role": role, "parts": [{"type": "text", "content": text} for text in texts]}


def write(*messages: Message) -> list[dict[str, Any]]:
    written = write_conversation(messages, lambda message: message)
    assert written is not None
    assert len(written.encode()) <= ATTRIBUTE_BYTES
    found: list[dict[str, Any]] = read(INPUT, written)
    return found


def texts_of(message: dict[str, Any]) -> list[str]:
    return [part["content"] for part in message["parts"]]


def test_text_of_the_greatest_length_is_whole() -> None:
    assert cut("a" * TEXT_CHARACTERS) == "a" * TEXT_CHARACTERS
    assert cut("a" * TEXT_CHARACTERS + "b") == "a" * (TEXT_CHARACTERS - 1) + "…"


@pytest.mark.parametrize("head", ["data:image/png;base64,", "data:audio/wav;codecs=1;base64,"])
def test_media_in_a_text_stay_away(head: str) -> None:
    assert cut(f"![seen]({head}{'iVBO' * 50_000}==) here") == f"![seen]({head}…) here"


def test_text_about_media_stays() -> None:
    assert cut("write data:image/png;base64,AAAA please") == "write data:image/png;base64,AAAA please"


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        (float("nan"), None),
        ([float("inf"), 1 << 70, -(1 << 62)], [None, None, -(1 << 62)]),
        ({1: {2}}, {"1": None}),
        ("QUJD" * 100, "…"),
        ({"type": "base64", "media_type": "image/png", "data": "iVBO"}, None),
        ({"type": "image", "mimeType": "image/png", "data": "iVBO"}, None),
    ],
)
def test_copies(value: Any, copied: Any) -> None:
    assert copy(value) == (value | {"data": "…"} if copied is None and isinstance(value, dict) else copied)


def test_copy_of_what_is_deep_or_wide_ends() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert json.dumps(copy(deep)).count("[") == 24
    assert len(copy({str(number): number for number in range(9999)})) == 4096
    assert copy({"k" * 99_999: "v " * 99_999}, characters=3) == {"kk…": "v …"}


def test_short_conversation_is_whole() -> None:
    messages = [said("system", "be kind"), said("user", "hi"), said("assistant", "hello"), said("user", "and?")]
    assert write(*messages) == messages


def test_nothing_said_is_no_attribute() -> None:
    assert write_conversation([], lambda message: message) is None
    assert write_conversation([1, 2], lambda message: None) is None
    assert write_answers([]) is None


def test_oldest_messages_are_left_out() -> None:
    messages = [said(("user", "assistant")[number % 2], f"{number} {LONG}") for number in range(9)]
    written = write(*messages)
    assert [texts_of(each)[0].split(" ")[0] for each in written] == ["6", "7", "8"]
    assert [each.get("omitted_before") for each in written] == [6, None, None]


def test_room_is_used_up() -> None:
    messages = [said("user", f"{number:06}") for number in range(9000)]
    written = write_conversation(messages, lambda message: message)
    assert written is not None
    assert ATTRIBUTE_BYTES - 200 < len(written.encode()) <= ATTRIBUTE_BYTES
    assert written.endswith('"008999"}]}]')
    assert read(INPUT, written)[0]["omitted_before"] == 9000 - len(read(INPUT, written))


def test_last_message_of_the_user_stays() -> None:
    calls = [said("assistant", f"{number} {LONG}") for number in range(20)]
    written = write(said("user", "old"), said("user", "asked"), *calls)
    assert texts_of(written[0]) == ["asked"]
    assert [texts_of(each)[0].split(" ")[0] for each in written[1:]] == ["19"]
    assert [each.get("omitted_before") for each in written] == [1, 19]


def test_last_message_of_the_user_is_shortened_where_it_must() -> None:
    written = write(said("system", "be kind"), said("user", *[f"{number} {LONG}" for number in range(99)]))
    assert [each["role"] for each in written] == ["system", "user"]
    texts = texts_of(written[1])
    assert len(texts) == 99
    assert texts[98].startswith("98 é")
    assert {text[-1] for text in texts} == {"…"}
    assert len({len(text) for text in texts}) == 1


def test_message_of_countless_parts_keeps_the_first() -> None:
    (written,) = write(said("user", *map(str, range(50_000))))
    texts = texts_of(written)
    assert texts[:3] == ["0", "1", "2"]
    assert len(texts) == 1024


def test_last_message_is_shortened_though_nobody_asked() -> None:
    (written,) = write(said("system", *[LONG] * 9))
    assert len(texts_of(written)) == 9


def test_every_answer_has_its_share() -> None:
    answers = [
        said("assistant", text) | {"finish_reason": "stop"} for text in ("short", LONG * 9, "\x01" * 99_999, "x")
    ]
    written = write_answers(answers)
    assert written is not None
    assert len(written.encode()) <= ATTRIBUTE_BYTES
    texts = [texts_of(each)[0] for each in read(OUTPUT, written)]
    assert texts[0] == "short"
    assert len(texts[1]) > 8000
    assert len(texts[2]) > 8000
    assert texts[3] == "x"


def test_countless_answers_are_cut_short() -> None:
    answers = [said("assistant", LONG, LONG) | {"finish_reason": "stop"} for _ in range(128)]
    written = write_answers(answers)
    assert written is not None
    assert len(written.encode()) <= ATTRIBUTE_BYTES
    assert len(read(OUTPUT, written)) == 128


def test_lone_surrogates_become_replacement_characters() -> None:
    (written,) = write(said("user", "\ud800 \udfff \U0001f600"))
    assert texts_of(written) == ["\ufffd \ufffd \U0001f600"]


def test_parts_that_do_not_fit_are_shortened_together() -> None:
    parts = json.loads(write_parts(said("system", LONG, "kind", LONG)["parts"], 40_000))
    assert [len(part["content"]) for part in parts] == [8192, 4, 8192]


def test_first_variant_that_fits() -> None:
    assert write_first_fitting([["long" * 9], ["short"]], 12) == '["short"]'
    assert write_first_fitting([["long" * 9], ["one", "two", "six"]], 13) == '["one","two"]'
    assert write_first_fitting([["long"]], 3) == "[]"
