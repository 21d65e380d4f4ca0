"""Lines of llama-server: cut from whatever arrives, and read whatever they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.logs import Level
from exporter.models.server.lines import LINE_BYTES, Cutter, Line, harmless, parse

TIME = "0.00.315.585"
ODD = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "level", "message", "port"),
    [
        (f"{TIME} I srv          load: spawning", "info", "srv          load: spawning", None),
        (f"{TIME} W srv  x: careful", "warn", "srv  x: careful", None),
        (f"{TIME} E gguf_init: bad", "error", "gguf_init: bad", None),
        (f"{TIME} D srv  x: detail", "debug", "srv  x: detail", None),
        (f"[56135] {TIME} I srv  llama_server: model loaded", "info", "srv  llama_server: model loaded", 56135),
        (f"[  801] {TIME} E srv  x: bad", "error", "srv  x: bad", 801),
        (f"{TIME} no level", "info", "no level", None),
        ("E srv         start: without a time", "error", "srv         start: without a time", None),
        ("W llama_model_load: without a time", "warn", "llama_model_load: without a time", None),
        ("I am a sentence: yes", "info", "I am a sentence: yes", None),
        ("[43269] warning: no usable GPU found", "warn", "warning: no usable GPU found", 43269),
        ('[38009] error while handling "-c": stoi', "error", 'error while handling "-c": stoi', 38009),
        ("error: invalid argument: --x", "error", "error: invalid argument: --x", None),
        ("[38009] usage:", "info", "usage:", 38009),
        ("/src/sampling.cpp:412: GGML_ASSERT(x) failed", "error", None, None),
        ("terminate called after throwing an instance of 'x'", "error", None, None),
        ("./llama-server: error while loading shared libraries: libx.so: no", "error", None, None),
        ("  what():  bad_alloc", "error", "  what():  bad_alloc", None),
        ("an error in the middle", "info", "an error in the middle", None),
        (f"\x1b[34m{TIME}\x1b[0m \x1b[32mI \x1b[0msrv  x: y\x1b[0m", "info", "srv  x: y", None),
        (f"[46713] \x1b[34m{TIME}\x1b[0m \x1b[35mW srv  x: y\x1b[0m", "warn", "srv  x: y", 46713),
        ("[    preset] C (aliases: cee)", "info", "[    preset] C (aliases: cee)", None),
        ("", "info", "", None),
        ("30\tin a\x07b\u2028c\x1b]0;title", "info", f"30 in a{ODD}b c{ODD}]0;title", None),
    ],
)  # fmt: skip
def test_a_line(text: str, level: Level, message: str | None, port: int | None) -> None:
    assert parse(text) == Line(level, text if message is None else message, port)


def entry(level: str, message: str) -> str:
    return json.dumps({"type": "log", "time": 909, "level": level, "msg": message}, separators=(",", ":"))


@pytest.mark.parametrize(
    ("text", "level", "message", "port"),
    [
        (entry("info", "srv  x: y\n"), "info", "srv  x: y", None),
        (entry("warn", "a\nb\n"), "warn", "a b", None),
        (entry("none", f"[55149] {entry('error', 'srv  x: bad')}"), "error", "srv  x: bad", 55149),
        (entry("none", "[55149] error: invalid argument"), "error", "error: invalid argument", 55149),
        (entry("none", "plain"), "info", "plain", None),
        ('{"type":"log","msg":7}', "info", '{"type":"log","msg":7}', None),
        ('{"type":"log","lev', "info", '{"type":"log","lev', None),
    ],
)
def test_a_line_of_json(text: str, level: Level, message: str, port: int | None) -> None:
    assert parse(text) == Line(level, message, port)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("srv         start: couldn't bind HTTP server socket, port: 1", "couldn't bind HTTP server socket, port: 1"),
        ("llama_model_load: error loading model: tensor 'x' is short", "error loading model: tensor 'x' is short"),
        ("cmn  common_init_: failed to load model '/m.gguf'", "failed to load model '/m.gguf'"),
        ("error: invalid argument: --x", "invalid argument: --x"),
        ("/tmp/a/b/sampling.cpp:412: GGML_ASSERT(x) failed", "sampling.cpp:412: GGML_ASSERT(x) failed"),
        ("CUDA error: out of memory", "CUDA error: out of memory"),
    ],
)
def test_what_it_says_to_people(message: str, reason: str) -> None:
    assert Line("error", message, None).reason == reason


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(["[1] ", "[", '{"type":"log"', TIME, "\x1b[0m", "E "])).map("".join)
)
def test_any_line_is_one_line_of_printable_text(text: str) -> None:
    line = parse(text)
    assert line.message.isprintable()
    assert line.reason.isprintable()
    assert harmless(line.message) == line.message


def test_prefixes_without_end_are_read_in_time() -> None:
    for text in ("y" * LINE_BYTES, "a_" * (LINE_BYTES // 2), "/" * LINE_BYTES, "srv " + " " * LINE_BYTES):
        assert parse(text).reason == text.strip()
    assert parse("[1] " * 2000).port == 1
    assert parse(entry("none", "[1] ") * 500).level == "info"
    assert parse('{"type":"log","msg":' + "[" * 8000).level == "info"


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_pieces_are_put_together(pieces: list[bytes], limit: int) -> None:
    cutter = Cutter(limit)
    lines = [line for piece in pieces for line in cutter.feed(piece)] + cutter.rest()
    expected = [each[:limit].decode(errors="replace").rstrip() for each in b"".join(pieces).split(b"\n")]
    assert lines == [each for each in expected if each]


def test_a_line_without_end_takes_no_memory_and_the_next_one_is_whole() -> None:
    cutter = Cutter()
    for _ in range(200):
        assert cutter.feed(b"x" * 65_536) == []
        assert len(cutter._begun) == LINE_BYTES
    assert cutter.feed(b"\nnext\n") == ["x" * LINE_BYTES, "next"]
