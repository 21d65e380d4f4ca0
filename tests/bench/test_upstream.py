from __future__ import annotations

import json

import pytest

from tests.bench.upstream import FRAMING_CHUNKS, body_length, canned, stream_parts
from tests.fakes.captures import golden
from tests.fakes.wire import LAST_CHUNK


def frames(parts: tuple[bytes, ...]) -> list[bytes]:
    body = b"".join(parts).partition(b"\r\n\r\n")[2]
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        found.append(body[:length])
        body = body[length + 2 :]
    return found


def test_a_stream_has_as_many_content_frames_as_asked_for() -> None:
    parts = stream_parts(64)
    *chunks, end = frames(parts)
    assert end == b""
    assert len(chunks) == len(parts) == 64 + FRAMING_CHUNKS
    role, *content, timings, done = (chunk.removeprefix(b"data: ") for chunk in chunks)
    assert json.loads(role)["choices"][0]["delta"]["role"] == "assistant"
    assert all(json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in content)
    assert json.loads(timings)["timings"]["predicted_n"] == 6
    assert done == b"[DONE]\n\n"


def test_a_stream_is_written_chunk_by_chunk() -> None:
    first, *rest = stream_parts(2)
    assert first.startswith(golden("chat-stream").head)
    assert all(part.endswith(b"\n\n\r\n") for part in rest[:-1])
    assert rest[-1].endswith(LAST_CHUNK)


def test_the_query_says_what_is_answered() -> None:
    paced = canned(b"POST /v1/chat/completions?n=3&ms=12.5 HTTP/1.1")
    assert (len(paced.parts), paced.pace_seconds) == (3 + FRAMING_CHUNKS, 0.0125)
    assert canned(b"POST /v1/chat/completions HTTP/1.1").parts == (b"".join(golden("chat").pieces()),)
    assert canned(b"GET /health HTTP/1.1").parts[0].endswith(b'{"status":"ok"}')
    assert canned(b"GET /slots?model=x HTTP/1.1").parts[0].endswith(golden("slots-idle").body)
    assert canned(b"GET /nowhere HTTP/1.1").parts[0].startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 12\r\nx: y", 12),
        (b"POST / HTTP/1.1\r\ncontent-length:7", 7),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked", -1),
        (b"GET / HTTP/1.1\r\nhost: x", 0),
    ],
)
def test_the_length_of_the_request(head: bytes, length: int) -> None:
    assert body_length(head) == length
