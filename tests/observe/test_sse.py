"""Framing of server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.observe.sse import Event, Framer


def frame(*chunks: bytes, limit: int = 1000) -> list[Event]:
    framer = Framer(limit)
    return [found for chunk in chunks for found in framer.feed(chunk)]


def plain(name: bytes, data: bytes) -> Event:
    return Event(name, data, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"data: a\n\n", [plain(b"", b"a")]),
        (b"data:a\n\n", [plain(b"", b"a")]),
        (b"data:  a \n\n", [plain(b"", b" a ")]),
        (b"event: x\ndata: a\n\n", [plain(b"x", b"a")]),
        (b"data: a\nevent: x\n\n", [plain(b"x", b"a")]),
        (b"data: a\ndata: b\n\n", [plain(b"", b"a\nb")]),
        (b"data: a\n\ndata: b\n\n", [plain(b"", b"a"), plain(b"", b"b")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", [plain(b"", b"a"), plain(b"", b"b"), plain(b"", b"c")]),
        (b": ping\n\ndata: a\n\n", [plain(b"", b"a")]),
        (b"event: x\n\ndata: a\n\n", [plain(b"", b"a")]),
        (b"id: 1\nretry: 5\nnoise\ndata: a\n\n", [plain(b"", b"a")]),
        (b"data\n\n", [plain(b"", b"")]),
        (b"\xef\xbb\xbfdata: a\n\n", [plain(b"", b"a")]),
        (b"data: \xe2\x80\xa8\xc2\x85\xff\x0b\x0c\x1c\n\n", [plain(b"", b"\xe2\x80\xa8\xc2\x85\xff\x0b\x0c\x1c")]),
        (b'error: {"code":1}\n\n', [plain(b"error", b'{"code":1}')]),
        (b"\n\n\n", []),
        (b"data: a\n", []),
    ],
)
def test_events(text: bytes, expected: list[Event]) -> None:
    assert frame(text) == expected
    assert frame(*(bytes([byte]) for byte in text)) == expected


@given(st.text(alphabet="da:te \n\rxé", max_size=60), st.data())
def test_splits_change_nothing(text: str, data: st.DataObject) -> None:
    body = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert frame(*pieces, limit=10) == frame(body, limit=10)


@pytest.mark.parametrize("split", [0, 1, 7, 20])
def test_idle_means_that_nothing_is_pending(split: int) -> None:
    framer = Framer(1000)
    text = b"event: x\ndata: abc\n\n"
    framer.feed(text[:split])
    assert framer.idle == (split in (0, 20))
    rest = framer.feed(text[split:])
    assert len(rest) == (0 if split == 20 else 1)


def test_a_line_feed_may_still_follow_a_carriage_return() -> None:
    framer = Framer(1000)
    steps = [(framer.feed(chunk), framer.idle) for chunk in (b"data: a\r\n\r", b"\n", b"data: b\n\n")]
    assert steps == [([plain(b"", b"a")], False), ([], True), ([plain(b"", b"b")], True)]


def test_a_long_line_keeps_its_ends() -> None:
    long = b"data: " + b"a" * 50 + b"b" * 5000 + b"c" * 50 + b"\n\n"
    [found] = frame(long, limit=100)
    assert found.data == b"a" * 44
    assert found.tail == b"c" * 50
    assert frame(*(bytes([byte]) for byte in long), limit=100) == [found]


def test_a_long_event_of_short_lines_keeps_its_ends() -> None:
    [found] = frame(b"data: aaaaaaaaaa\n" * 20 + b"data: zz\n\n", limit=40)
    assert found.data == b"aaaaaaaaaa\naaaaaaaaa"
    assert found.tail is not None
    assert found.tail.endswith(b"aaaa\nzz")


def test_after_a_long_event_the_next_one_is_read() -> None:
    found = frame(b": " + b"x" * 500 + b"\n" + b"data: " + b"x" * 500, b"\n\nevent: y\ndata: b\n\n", limit=100)
    assert [each.name for each in found] == [b"", b"y"]
    assert found[1] == plain(b"y", b"b")


@pytest.mark.parametrize("endless", [b"x", b"data: ", b"data: x\n", b"event: x\n", b": x\n", b"\r"])
def test_memory_is_bounded(endless: bytes) -> None:
    framer = Framer(1000)
    for _ in range(2000):
        framer.feed(endless * 10)
        assert framer.retained_bytes <= 3200


def test_flush_ends_the_last_event() -> None:
    framer = Framer(1000)
    framer.feed(b"data: a")
    assert framer.flush() == [plain(b"", b"a")]
    assert framer.flush() == []
