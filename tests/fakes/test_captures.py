from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.captures import GOLDEN, capture, golden
from tests.fakes.wire import LAST_CHUNK


def test_a_json_answer() -> None:
    chat = golden("chat")
    assert chat.request.startswith("curl $BASE/v1/chat/completions")
    assert chat.status == 200
    assert ("Access-Control-Allow-Origin", "") in chat.headers
    assert not chat.chunked
    assert not chat.closes
    assert chat.pieces() == [chat.head, chat.body]


def test_a_stream_is_sent_in_chunks_of_one_frame_each() -> None:
    stream = golden("chat-stream")
    frames = stream.frames
    assert frames[-1] == b"data: [DONE]\n\n"
    assert all(frame.startswith(b"data: ") for frame in frames)
    pieces = stream.pieces()
    assert len(pieces) == len(frames) + 2
    assert pieces[1] == b"%x\r\n%b\r\n" % (len(frames[0]), frames[0])
    assert pieces[-1] == LAST_CHUNK


def test_chunks_can_be_cut_elsewhere() -> None:
    stream = golden("chat-stream")
    assert stream.pieces([stream.body[:5], stream.body[5:]])[1] == b"5\r\ndata:\r\n"


def test_errors_close_the_connection() -> None:
    assert golden("error-bad-json").closes
    assert golden("error-bad-json").status == 400


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.http")), ids=lambda path: path.stem)
def test_every_capture_is_whole(path: Path) -> None:
    loaded = capture(path)
    assert loaded.head.startswith(b"HTTP/1.1 ")
    lengths = [int(value) for name, value in loaded.headers if name == "Content-Length"]
    assert loaded.chunked or lengths == [len(loaded.body)]
    assert b"".join(loaded.frames) == loaded.body
    assert b"".join(loaded.split(seed=1)) == b"".join(loaded.pieces())
