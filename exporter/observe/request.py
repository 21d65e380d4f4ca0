"""What the request itself says: model, stream flag, how many messages or inputs. Used by `Observation`."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from exporter.observe.documents import TEXT_LIMIT, Document, parse, text, whole
from exporter.observe.encoding import is_identity, make_inflater

# An origin has no user and no password (RFC 6454, 6.2); but a client can be told a URL that has, and use it as one.
_CREDENTIALS = re.compile("(?<=://)[^/?#]*@")
_QUERY_BYTES = 8 << 10
_LISTS = ("messages", "input", "prompt", "documents", "texts", "content")
_CHOICES = 128

LARGE_BYTES = 1 << 20
"""Bodies up to this size are parsed, whatever they hold: a megabyte takes up to 20 ms, in which no stream moves."""
_LARGE_MARKS = 50_000
"""Larger ones are parsed when they hold no more quotation marks and commas than this: then they are images or the
like, which cost 1 ms per megabyte."""


class Asked(NamedTuple):
    """The facts of a request body."""

    model: str | None
    stream: bool
    message_count: int | None
    choices: int
    """Answers wanted per prompt (`n`)."""
    tool_uses: int
    tool_results: int


class RequestBody:
    """Keeps a request body until it is complete, up to a limit; a longer one is let go."""

    __slots__ = ("_encoding", "_kept", "_limit", "_size")

    def __init__(self, headers: dict[bytes, bytes], limit: int) -> None:
        self._encoding = headers.get(b"content-encoding", b"")
        self._size = 0
        multipart = headers.get(b"content-type", b"")[:10].lower() == b"multipart/"
        self._limit = -1 if multipart else limit
        self._kept: list[bytes] = []

    @property
    def size(self) -> int:
        """Bytes taken so far, kept or not."""
        return self._size

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""
        return sum(map(len, self._kept))

    def feed(self, chunk: bytes) -> None:
        """Take a part of the body."""
        self._size += len(chunk)
        if self._size <= self._limit:
            self._kept.append(chunk)
        else:
            self._kept.clear()

    def take(self) -> Document | None:
        """The body as a JSON object, None when it is not one, too long, or encoded otherwise. Lets the bytes go."""
        body = b"".join(self._kept)
        self._kept.clear()
        if len(body) > LARGE_BYTES and body.count(b'"') + body.count(b",") > _LARGE_MARKS:
            return None
        try:
            document = parse(self._plain(body)) if body else None
        except ValueError:
            return None
        return document if isinstance(document, dict) else None

    def _plain(self, body: bytes) -> bytes:
        if is_identity(self._encoding):
            return body
        inflater = make_inflater(self._encoding)
        if inflater is None:
            raise ValueError("an encoding that we do not undo")
        return b"".join(inflater.inflate(body, self._limit))


def read_body(document: Document) -> Asked:
    """The facts of a request in any dialect."""
    wanted = whole(document.get("n_cmpl", document.get("n")))
    # Only conversations that offer tools are looked through: hardly any other holds calls.
    tool_uses, tool_results = _count_tools(document.get("messages")) if "tools" in document else (0, 0)
    return Asked(
        model=text(document.get("model")),
        stream=document.get("stream") is True,
        message_count=next((_count(document[key]) for key in _LISTS if key in document), None),
        choices=min(wanted or 1, _CHOICES),
        tool_uses=tool_uses,
        tool_results=tool_results,
    )


def _count_tools(messages: object) -> tuple[int, int]:
    """Calls and results of tools in a conversation: `tool_calls` and the role `tool` with OpenAI, blocks with
    Anthropic."""
    uses = results = 0
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        calls, content = message.get("tool_calls"), message.get("content")
        uses += len(calls) if isinstance(calls, list) else 0
        results += message.get("role") == "tool"
        for block in content if isinstance(content, list) else ():
            kind = block.get("type") if isinstance(block, dict) else None
            uses += kind == "tool_use"
            results += kind == "tool_result"
    return uses, results


def _count(value: object) -> int | None:
    """A string is one input; so is an array with token numbers in it, which llama-server takes as one prompt."""
    if isinstance(value, str):
        return 1
    if not isinstance(value, list):
        return None
    if any(isinstance(part, int) for part in value):
        return 1
    return len(value)


def query_model(query: bytes) -> str | None:
    """`model` of a query string."""
    if b"model=" not in query:
        return None
    for field in query[:_QUERY_BYTES].split(b"&"):
        if field.startswith(b"model="):
            return text(unquote_plus(str(field[6:], "latin-1"), errors="replace"))
    return None


def find_origin(headers: dict[bytes, bytes], client_name_header: bytes | None) -> str | None:
    """The `Origin` header, else the configured one that names the client; without credentials."""
    value = headers.get(b"origin")
    if not value and client_name_header is not None:
        value = headers.get(client_name_header)
    if not value:
        return None
    name = str(value, "latin-1").strip()
    return (_CREDENTIALS.sub("", name) if "@" in name else name)[:TEXT_LIMIT] or None
