from __future__ import annotations

import sys
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.routing.wording import HEAD_CHARACTERS, TAIL_CHARACTERS, WHOLE_CHARACTERS, read

READ = HEAD_CHARACTERS + TAIL_CHARACTERS


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \t\r\n\x00\u3000", 0),
        ("?!., - ... '' ()", 0),
        ("one two", 2),
        ("one\ntwo\r\nthree\tfour", 4),
        ("one,two/three-four", 4),
        ("don't they'd", 2),
        ("don’t", 1),
        ("'quoted' “words”", 2),
        ("3.5 os.path e.g. 12:30", 4),
        ("list_files", 1),
        ("Why?Because!", 2),
        ("schön — très joli…", 3),
        ("зачем это", 2),
        ("你好，世界。", 2),
        ("これはペンです", 3),
        ("Python 很好", 2),
    ],
)
def test_words_are_counted(text: str, words: int) -> None:
    assert read(text).words == words


def test_every_space_separates_words() -> None:
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert len(spaces) > 20
    assert [space for space in spaces if read(f"one{space}two").tokens != [b"one", b"two"]] == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("What's up, Doc?", "what's up doc ."),
        ("It ends. It goes on", "it ends . it goes on"),
        ("Version 3.5 of node.js", "version 3 .5 of node .js"),
        ("'so' she'd say 'ever so' (\"well\")", "so she'd say ever so well"),
        ("A line\nthat goes on", "a line that goes on"),
        ("A paragraph\n \nand another", "a paragraph . and another"),
        ("- one\n- two", ". one . two"),
        ("Élan VITAL", "élan vital"),
        ("分析。为什么？", "分析 . 为什么 ."),
    ],
)
def test_words_are_small_and_sentences_end_in_dots(text: str, tokens: str) -> None:
    assert b" ".join(read(text).tokens).decode().removeprefix(". ") == tokens.removeprefix(". ")


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("", False),
        ("Why?", False),
        ("Really???", False),
        ("Why? When?", True),
        ("Why??? When", False),
        ("Why??? When??", True),
        ("为什么？", False),
        ("为什么？什么时候？", True),
        ("لماذا؟ متى؟", True),
    ],
)
def test_several_questions_are_several_runs_of_question_marks(text: str, questions: bool) -> None:
    assert read(text).questions is questions


@pytest.mark.parametrize(
    ("text", "numbered", "bulleted"),
    [
        ("1. eggs\n2. milk", True, False),
        ("Buy:\r\n\r\n  1) eggs\r\n  2) milk", True, False),
        ("(1) eggs\n(2) milk", True, False),
        ("a) eggs\nb) milk", True, False),
        ("Do this: 1) explain it, 2) prove it", True, False),
        ("1) explain it, 2) prove it", True, False),
        ("1. eggs", False, False),
        ("1.5 eggs\n2.5 litres", False, False),
        ("Version 1. It has 2. places", False, False),
        ("From (0, 1) to (3, 2) and on", False, False),
        ("- eggs\n- milk", False, True),
        ("Buy\n\t* eggs\n\t*\tmilk", False, True),
        ("• eggs\n– milk", False, True),
        ("- eggs", False, False),
        ("---\n**eggs**\n*milk*\n-5", False, False),
        ("eggs - milk - flour", False, False),
    ],
)
def test_lists_are_numbered_or_bulleted_lines(text: str, numbered: bool, bulleted: bool) -> None:
    wording = read(text)
    assert (wording.numbered, wording.bulleted) == (numbered, bulleted)


def test_a_text_is_read_in_full_up_to_the_limit() -> None:
    half = "word " * (WHOLE_CHARACTERS // 10 - 1)
    text = (half + "middle " + half).ljust(WHOLE_CHARACTERS, "s")
    assert len(text) == WHOLE_CHARACTERS
    assert read(text).words == len(text.split())
    assert b"middle" in read(text).tokens
    assert b"middle" not in read(text + "s").tokens


def test_the_ends_of_a_longer_text_are_read() -> None:
    wording = read("First. " + "word " * 10_000 + "Last?")
    assert b"first" in wording.tokens
    assert wording.tokens[-2:] == [b"last", b"."]
    assert len(wording.tokens) < READ


def test_the_words_of_a_longer_text_are_estimated() -> None:
    assert read("word " * 10_000).words == pytest.approx(10_000, rel=0.02)
    assert read("a" * 1_000_000).words == 2 * 1_000_000 // READ


def test_words_that_the_cut_goes_through_are_nobodys() -> None:
    head = "x" * (HEAD_CHARACTERS - 5) + " list"
    tail = "list " + "z" * (TAIL_CHARACTERS - 5)
    between = "ening " + "y" * WHOLE_CHARACTERS + " en"
    assert b"list" in read(head[1:] + " " + between + tail).tokens
    assert b"list" not in read(head + between + tail).tokens


@settings(deadline=None)
@given(st.text(st.characters(codec=None)) | st.text("?!.:'\"-*12)\n\r\t _aZé。？、分\ud800\udfff\x00’…"))
def test_any_text_can_be_read(text: str) -> None:
    wording = read(text)
    assert wording == read(text)
    assert wording.words >= 0
    assert wording.questions <= ("?" in text or "？" in text or "؟" in text)


MILLION = 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        lambda: "?" * MILLION,
        lambda: "\n" * MILLION,
        lambda: "- " * MILLION,
        lambda: "1. \n" * MILLION,
        lambda: "a" * MILLION,
        lambda: "分析" * MILLION,
        lambda: "\ud800" * MILLION,
        lambda: "'" * MILLION,
    ],
    ids=["questions", "lines", "bullets", "numbers", "one word", "no spaces", "surrogates", "quotes"],
)
def test_the_work_does_not_grow_with_the_text(text: Callable[[], str]) -> None:
    long = text()
    seconds = []
    for _ in range(10):
        start = time.thread_time()
        read(long)
        seconds.append(time.thread_time() - start)
    assert min(seconds) < 0.001
