"""What `FakeServer` does about a request: `Answer`, the steps that one is made of, and the usual answers ready made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.fakes.captures import Capture
from tests.fakes.received import Request
from tests.fakes.wire import LAST_CHUNK, HeaderItems, chunk, head

if TYPE_CHECKING:
    from tests.fakes.connection import Connection

Step: TypeAlias = "bytes | asyncio.Event | Callable[[Connection], Awaitable[None]]"
"""Bytes to write, an event to wait for, or a coroutine function that does something with the connection."""


@dataclass(frozen=True, slots=True, init=False)
class Answer:
    """What to do about one request, from the moment its head is complete."""

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        object.__setattr__(self, "steps", steps)

    def then(self, *steps: Step) -> Answer:
        """The same answer with more steps."""
        return Answer(*self.steps, *steps)


Script = Answer | Sequence[Answer] | Callable[[Request], Answer]
"""The answer to every request; or one per request in order of arrival, the last again and again; or a function."""


# Steps


async def request_received(connection: Connection) -> None:
    """Wait until the whole body of the request has arrived."""
    await connection.until(lambda: connection.current.complete)


async def next_byte(connection: Connection) -> None:
    """Wait until the client begins to write its next request on this connection."""
    await connection.until(lambda: connection.next_has_begun)


async def close(connection: Connection) -> None:
    """Close the connection properly (FIN)."""
    connection.close()


async def reset(connection: Connection) -> None:
    """Reset the connection (RST); bytes that are not yet sent are dropped."""
    connection.reset()


async def hang(_: Connection) -> None:
    """Never go on; ends when the peer closes or the server stops."""
    await asyncio.get_running_loop().create_future()


async def stop_reading(connection: Connection) -> None:
    """Leave the upload in the kernel's buffers until `resume_reading`, so that the client has to wait."""
    connection.transport.pause_reading()


async def resume_reading(connection: Connection) -> None:
    """Read again."""
    connection.transport.resume_reading()


def endless(piece: bytes) -> Step:
    """Write the piece again and again, as fast as the peer reads, until it closes."""

    async def repeat(connection: Connection) -> None:
        while True:
            await connection.write(piece)

    return repeat


# Answers


def reply(
    status: int = 200,
    headers: HeaderItems = (),
    body: bytes | Sequence[bytes] = b"",
    *,
    framing: Literal["length", "chunked", "close", "none"] = "length",
    version: str = "1.1",
    early: bool = False,
) -> Answer:
    """A complete answer, written in one piece for the head and one for each piece of the body.

    `framing`: how the end of the body is told (`none`: neither header nor close, for 204, 304 and HEAD).
    `early`: begin at the request's head, without waiting for its body.
    """
    pieces = [body] if isinstance(body, bytes) else list(body)
    fields = list(headers)
    ending: list[Step] = []
    if framing == "length":
        fields.append(("Content-Length", str(sum(map(len, pieces)))))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", "chunked"))
        pieces = [*map(chunk, pieces), LAST_CHUNK]
    elif framing == "close":
        ending = [close]
    waiting: list[Step] = [] if early else [request_received]
    return Answer(*waiting, head(status, fields, version=version), *filter(None, pieces), *ending)


def json_reply(document: Any, status: int = 200, headers: HeaderItems = ()) -> Answer:
    """A JSON answer as llama-server sends it."""
    fields = [("Content-Type", "application/json; charset=utf-8"), *headers]
    return reply(status, fields, json.dumps(document, separators=(",", ":")).encode())


def sse_reply(frames: Sequence[bytes], headers: HeaderItems = ()) -> Answer:
    """A stream as llama-server sends it: one chunk per frame."""
    return reply(200, [("Content-Type", "text/event-stream"), *headers], frames, framing="chunked")


def replay(answer: Capture, pieces: Sequence[bytes] | None = None) -> Answer:
    """A captured answer, in its own pieces or in given ones; closes the connection where the real server did."""
    steps = answer.pieces() if pieces is None else pieces
    return Answer(request_received, *steps, *([close] if answer.closes else []))


def byte_by_byte(answer: Answer) -> Answer:
    """The same answer, each byte written by itself."""
    steps: list[Step] = []
    for step in answer.steps:
        steps += [bytes([byte]) for byte in step] if isinstance(step, bytes) else [step]
    return Answer(*steps)


def by_path(answers: Mapping[str, Answer], default: Answer | None = None) -> Callable[[Request], Answer]:
    """A script that answers by path, with 404 (or `default`) where there is none."""
    missing = json_reply({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404)
    return lambda request: answers.get(request.path, default or missing)
