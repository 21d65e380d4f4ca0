from __future__ import annotations

import pytest

from tests.fakes.wire import chunk, early_hints, head, keep_alive, last_chunk, split_randomly, sse_frames


def test_a_head_is_exactly_what_was_asked_for() -> None:
    fields = [("set-cookie", "a=1"), ("Set-Cookie", "b=2"), keep_alive(maximum=2)]
    assert head(204, fields) == (
        b"HTTP/1.1 204 No Content\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=5, max=2\r\n\r\n"
    )
    assert head(200, version="1.0", reason="") == b"HTTP/1.0 200 \r\n\r\n"


def test_early_hints_are_an_interim_answer() -> None:
    assert early_hints("</a.css>", "</b.js>") == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\n\r\n"


def test_chunks() -> None:
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk([("X-Sum", "1")]) == b"0\r\nX-Sum: 1\r\n\r\n"


def test_frames_keep_their_blank_lines_and_the_rest() -> None:
    assert sse_frames(b": ping\n\ndata: 1\n\nda") == [b": ping\n\n", b"data: 1\n\n", b"da"]
    assert sse_frames(b"") == []


@pytest.mark.parametrize("size", [0, 1, 2, 100])
def test_random_pieces_are_repeatable_and_lose_nothing(size: int) -> None:
    data = bytes(range(size))
    pieces = split_randomly(data, seed=3, pieces=9)
    assert b"".join(pieces) == data
    assert all(pieces)
    assert len(pieces) == min(9, size)
    assert pieces == split_randomly(data, seed=3, pieces=9)


def test_another_seed_cuts_elsewhere() -> None:
    data = bytes(200)
    assert len({tuple(map(len, split_randomly(data, seed))) for seed in range(20)}) == 20
