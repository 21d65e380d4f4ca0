"""Raw pieces of HTTP answers: heads, interim answers, chunk framing, SSE frames, and ways to cut bytes up."""

from __future__ import annotations

import random
from collections.abc import Iterable
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

HeaderItems = Iterable[tuple[str, str]]


def early_hints(*links: str) -> bytes:
    """A 103 interim answer with one Link header each."""
    return head(103, [("Link", link) for link in links])


def keep_alive(timeout: int = 5, maximum: int = 100) -> tuple[str, str]:
    """The header that llama-server sends with every answer after which it keeps the connection."""
    return ("Keep-Alive", f"timeout={timeout}, max={maximum}")


def head(status: int, headers: HeaderItems = (), *, version: str = "1.1", reason: str | None = None) -> bytes:
    """Status line and headers, exactly these and in this order, and the blank line."""
    phrase = HTTPStatus(status).phrase if reason is None else reason
    lines = [f"HTTP/{version} {status} {phrase}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty for empty data, which would otherwise end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: HeaderItems = ()) -> bytes:
    """The end of a chunked body."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return b"0\r\n" + lines.encode("latin-1") + b"\r\n"


def sse_frames(body: bytes) -> list[bytes]:
    """The frames of an SSE body, each with the blank line behind it; a rest without one is the last frame."""
    *frames, rest = body.split(b"\n\n")
    return [frame + b"\n\n" for frame in frames] + ([rest] if rest else [])


def split_randomly(data: bytes, seed: int, pieces: int = 8) -> list[bytes]:
    """`data` in so many pieces (fewer when it is short), none empty; the seed decides where it is cut."""
    if not data:
        return []
    cuts = sorted(random.Random(seed).sample(range(1, len(data)), min(pieces, len(data)) - 1))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
