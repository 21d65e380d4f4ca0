"""The reader must give the same account of the same bytes, however they were cut."""

from __future__ import annotations

import pytest

from tests.fakes.received import Request, RequestReader

PIPELINED = (
    b"POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: a\r\nX-TWO: 1\r\nx-two:  2 \r\nContent-Length: 5\r\n\r\nhello"
    b"PUT /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n3;ext=1\r\n\r\n\n\r\n0\r\nX-Sum: 9\r\n\r\n"
    b"GET /last HTTP/1.0\r\n\r\n"
)


def account(request: Request) -> tuple[object, ...]:
    return (
        request.line,
        request.headers,
        request.body,
        bytes(request.wire_body),
        list(map(bytes, request.pieces)),
        request.trailers,
        request.complete,
    )


def test_pipelined_requests_are_told_apart() -> None:
    first, second, third = RequestReader(7).feed(PIPELINED, now=1.5)
    assert (first.connection, first.number, second.number, third.number) == (7, 1, 2, 3)
    assert first.received_at == 1.5
    assert first.headers == [("Host", "a"), ("X-TWO", "1"), ("x-two", "2"), ("Content-Length", "5")]
    assert (first.method, first.target, first.path) == ("POST", "/v1/chat/completions?x=1", "/v1/chat/completions")
    assert first.values("X-Two") == ["1", "2"]
    assert first.body == b"hello"
    assert list(map(bytes, second.pieces)) == [b"first", b"\r\n\n"]
    assert second.wire_body.startswith(b"5\r\nfirst\r\n3;ext=1\r\n")
    assert second.trailers == [("X-Sum", "9")]
    assert third.complete
    assert third.line == "GET /last HTTP/1.0"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_the_account_does_not_depend_on_how_the_bytes_were_cut(size: int) -> None:
    whole, cut = RequestReader(1), RequestReader(1)
    whole.feed(PIPELINED, now=0.0)
    for start in range(0, len(PIPELINED), size):
        cut.feed(PIPELINED[start : start + size], now=0.0)
    assert list(map(account, cut.requests)) == list(map(account, whole.requests))
    assert cut.buffered_bytes == 0


def test_a_body_is_there_before_it_is_complete() -> None:
    reader = RequestReader(1)
    (request,) = reader.feed(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\n0123", now=0.0)
    assert (request.body, request.complete) == (b"0123", False)
    reader.feed(b"456789", now=0.0)
    assert (request.body, request.complete) == (b"0123456789", True)


def test_a_broken_chunk_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        RequestReader(1).feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", now=0.0)


@pytest.mark.parametrize(
    ("head", "wants_close"),
    [
        (b"GET / HTTP/1.1\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: TE, Close\r\n", True),
        (b"GET / HTTP/1.0\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", False),
    ],
)
def test_who_wants_the_connection_closed(head: bytes, wants_close: bool) -> None:
    (request,) = RequestReader(1).feed(head + b"\r\n", now=0.0)
    assert request.wants_close is wants_close
