"""What a request says about itself."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from exporter.observe.observation import Look
from tests.observe.replays import ANSWERED, FINISHED, JSON, open_request

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("body", "model", "stream", "count"),
    [
        ({"model": "m", "messages": [{}, {}], "stream": True}, "m", True, 2),
        ({"messages": [], "stream": False}, None, False, 0),
        ({"model": "", "stream": "true"}, None, False, None),
        ({"model": 7, "stream": 1, "messages": "hi"}, None, False, 1),
        ({"model": "x" * 300}, "x" * 256, False, None),
        ({"prompt": "hi"}, None, False, 1),
        ({"prompt": ["a", "b"]}, None, False, 2),
        ({"prompt": [1, 2, 3]}, None, False, 1),
        ({"prompt": [12, "a", 34]}, None, False, 1),
        ({"prompt": [[1, 2], [3], "a"]}, None, False, 3),
        ({"prompt": {"prompt_string": "a"}}, None, False, None),
        ({"input": "hi"}, None, False, 1),
        ({"input": ["a", "b", "c"]}, None, False, 3),
        ({"content": "hi"}, None, False, 1),
        ({"query": "q", "documents": ["a", "b"]}, None, False, 2),
        ({"query": "q", "texts": ["a"]}, None, False, 1),
        ({}, None, False, None),
    ],
)
def test_json(body: dict[str, Any], model: str | None, stream: bool, count: int | None) -> None:
    observation = open_request(CHAT, json.dumps(body).encode())
    assert (observation.requested_model, observation.stream, observation.message_count) == (model, stream, count)
    assert observation.request_json == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'"a"',
        b"{} {}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"model":"m"',
        b"model=m",
        b"9" * 10_000,
    ],
)
def test_other_bodies_say_nothing(body: bytes) -> None:
    observation = open_request(CHAT, body)
    assert (observation.requested_model, observation.stream, observation.request_json) == (None, False, None)
    assert observation.request_bytes == len(body)
    assert observation.parse_errors == 0


def test_broken_utf8_is_read_around() -> None:
    observation = open_request(CHAT, b'{"model":"m\xff","messages":["\xe2\x80"]}')
    assert (observation.requested_model, observation.message_count) == ("m\ufffd", 1)


def test_the_body_is_let_go_when_the_answer_begins() -> None:
    observation = open_request(CHAT, b'{"model":"m"}')
    assert observation.request_json == {"model": "m"}
    assert observation.retained_bytes == 0
    observation.answer(ANSWERED, 200, JSON)
    assert observation.request_json is None


def test_a_long_body_is_not_kept() -> None:
    observation = open_request(CHAT, look=Look(request_bytes=1000))
    for size in (400, 400):
        observation.feed_request(b" " * size)
    assert observation.retained_bytes == 800
    for _ in range(100):
        observation.feed_request(b" " * 400)
        assert observation.retained_bytes == 0
    observation.end_request()
    assert observation.request_json is None
    assert observation.finish(FINISHED).request_bytes == 40_800


@pytest.mark.parametrize(("size", "parsed"), [(1000, True), (1001, False)])
def test_the_limit(size: int, parsed: bool) -> None:
    observation = open_request(CHAT, b'{"model":"m"}'.ljust(size), look=Look(request_bytes=1000))
    assert (observation.requested_model == "m") == parsed


BODY = b'{"model":"m"}'


@pytest.mark.parametrize(
    ("encoding", "body", "model"),
    [
        (b"gzip", gzip.compress(BODY, mtime=0), "m"),
        (b"x-gzip", gzip.compress(BODY, mtime=0), "m"),
        (b" GZIP ", gzip.compress(BODY, mtime=0), "m"),
        (b"deflate", zlib.compress(BODY), "m"),
        (b"deflate", zlib.compress(BODY, wbits=-15), "m"),
        (b"identity", BODY, "m"),
        (b"br", BODY, None),
        (b"gzip", BODY, None),
        (b"deflate", b"\xff\xff\xff", None),
        (b"gzip, gzip", gzip.compress(gzip.compress(BODY, mtime=0), mtime=0), None),
        (b"gzip", gzip.compress(b" " * 2_000_000 + BODY, mtime=0), None),
    ],
)
def test_encodings(encoding: bytes, body: bytes, model: str | None) -> None:
    observation = open_request(CHAT, body, headers=[(b"content-encoding", encoding)])
    assert observation.requested_model == model


def test_multipart_is_not_read() -> None:
    headers = [(b"content-type", b"Multipart/form-data; boundary=x")]
    observation = open_request("/v1/audio/transcriptions", BODY, headers=headers)
    assert (observation.requested_model, observation.inference) == (None, True)
    assert observation.retained_bytes == 0


@pytest.mark.parametrize(
    ("query", "model"),
    [
        (b"model=tiny", "tiny"),
        (b"autoload=false&model=a%2Fb+c%20d", "a/b c d"),
        (b"xmodel=tiny", None),
        (b"autoload=false", None),
        (b"model=", None),
        (b"model=%ff%zz", "\ufffd%zz"),
        (b"a=1&" * 3000 + b"model=tiny", None),
        (b"", None),
    ],
)
def test_query(query: bytes, model: str | None) -> None:
    observation = open_request("/metrics", method="GET", query=query)
    assert observation.requested_model == model


def test_the_body_names_the_model_before_the_query_does() -> None:
    assert open_request(CHAT, BODY, query=b"model=other").requested_model == "m"
    assert open_request(CHAT, b"{}", query=b"model=other").requested_model == "other"


@pytest.mark.parametrize(
    ("headers", "name", "origin"),
    [
        ([(b"origin", b"https://a.example"), (b"x-origin", b"b")], b"x-origin", "https://a.example"),
        ([(b"x-origin", b" b ")], b"x-origin", "b"),
        ([(b"origin", b""), (b"x-client", b"c")], b"x-client", "c"),
        ([(b"x-origin", b"b")], None, None),
        ([(b"x-origin", b"  ")], b"x-origin", None),
        ([(b"x-origin", b"\xe9" * 300)], b"x-origin", "\xe9" * 256),
        ([(b"origin", b"https://me:secret@chat.example:8443")], None, "https://chat.example:8443"),
        ([(b"origin", b"https://me:se@cret@chat.example/path@home")], None, "https://chat.example/path@home"),
        ([(b"origin", b"https://" + b"s" * 300 + b"@chat.example")], None, "https://chat.example"),
        ([(b"x-origin", b"me@example.org")], b"x-origin", "me@example.org"),
        ([], b"x-origin", None),
    ],
)
def test_origin(headers: list[tuple[bytes, bytes]], name: bytes | None, origin: str | None) -> None:
    assert open_request(CHAT, headers=headers, look=Look(client_name_header=name)).origin == origin


def look(size: int) -> Look:
    return Look(request_bytes=size)


def test_a_long_body_of_few_values_is_read() -> None:
    """An image, say."""
    url = "data:image/png;base64," + "A" * (3 << 20)
    body = json.dumps({"messages": [{"image_url": {"url": url}}], "model": "m"}).encode()
    assert open_request(CHAT, body, look=look(8 << 20)).requested_model == "m"
    assert open_request(CHAT, body, look=look(2 << 20)).requested_model is None


def test_a_long_body_of_many_values_is_let_go() -> None:
    """To parse it would hold up all streams."""
    body = json.dumps({"model": "m", "prompt": list(range(300_000))}).encode()
    assert len(body) > 1 << 20
    assert open_request(CHAT, body, look=look(8 << 20)).requested_model is None
