"""What a client sent, byte for byte: `Request`, and the incremental reader that fills it.

Sans-I/O: `FakeServer` feeds it the bytes of one connection. It keeps the order and the case of headers and the chunk
framing of the body, because the tests are about what a proxy does to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Headers = list[tuple[str, str]]
"""Names as sent, values without surrounding blanks, in the order of arrival (latin-1)."""


@dataclass(slots=True, eq=False)
class Request:
    """One request as it arrives: it exists when its head is complete, and its body grows from there."""

    connection: int
    """Number of the connection, from 1, in the order in which they were accepted."""
    number: int
    """Number of the request on its connection, from 1."""
    received_at: float
    """Loop time at which the head was complete."""
    head: bytes
    """The head as received, blank line included."""
    line: str
    """The request line without its line end."""
    headers: Headers
    wire_body: bytearray = field(default_factory=bytearray)
    """The body as received so far, chunk framing and trailers included."""
    pieces: list[bytearray] = field(default_factory=list)
    """The body so far: the chunks as the client cut them, or one piece when it gave a length."""
    trailers: Headers = field(default_factory=list)
    complete: bool = False
    """The whole body has arrived."""
    answered_at: float | None = None
    """Loop time at which the last step of the answer was done; None while it goes on, or when it was broken off."""
    peer_closed_at: float | None = None
    """Loop time at which the peer closed the connection before the answer was done."""

    @property
    def body(self) -> bytes:
        """The body so far, without chunk framing."""
        return b"".join(self.pieces)

    @property
    def method(self) -> str:
        """First word of the request line."""
        return self.line.partition(" ")[0]

    @property
    def target(self) -> str:
        """Path and query as sent; empty when the request line has no second word."""
        return self.line.partition(" ")[2].rpartition(" ")[0]

    @property
    def path(self) -> str:
        """Target without the query."""
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """All values of a header, in order; the name in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """First value of a header."""
        return next(iter(self.values(name)), None)

    @property
    def wants_close(self) -> bool:
        """The client wants no further answer on the connection (as HTTP/1.0 clients do unless they say otherwise)."""
        wishes = {word.strip().lower() for value in self.values("connection") for word in value.split(",")}
        return "close" in wishes or (self.line.endswith("HTTP/1.0") and "keep-alive" not in wishes)


def parse_headers(block: bytes) -> Headers:
    """Header lines, CRLF between them. A line without a colon is kept as a name with an empty value."""
    parts = [line.decode("latin-1").partition(":") for line in block.split(b"\r\n") if line]
    return [(name, value.strip(" \t")) for name, _, value in parts]


class RequestReader:
    """Cuts the bytes of one connection into requests; pipelined ones included."""

    def __init__(self, connection: int) -> None:
        self.requests: list[Request] = []
        self._connection = connection
        self._buffer = bytearray()
        self._left: int | None = None  # Bytes of the body, or of the chunk and its line end, still to come.
        self._in_trailers = False

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a request whose head is not complete, or of a chunk's size line."""
        return len(self._buffer)

    def feed(self, data: bytes, now: float) -> list[Request]:
        """Take in bytes; the requests whose head they completed. Raises ValueError where chunk framing is broken."""
        before = len(self.requests)
        self._buffer += data
        while self._advance(now):
            pass
        return self.requests[before:]

    def _advance(self, now: float) -> bool:
        """Take one more element out of the buffer; False when it is not there yet."""
        request = self.requests[-1] if self.requests else None
        if request is None or request.complete:
            return self._read_head(now)
        if self._in_trailers:
            return self._read_trailer(request)
        if self._left is None:
            return self._read_chunk_size(request)
        return self._read_body(request)

    def _read_head(self, now: float) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._take(end + 4)
        line, _, block = head[:-4].partition(b"\r\n")
        request = Request(
            self._connection, len(self.requests) + 1, now, head, line.decode("latin-1"), parse_headers(block)
        )
        self.requests.append(request)
        chunked = "chunked" in (request.header("transfer-encoding") or "").lower()
        self._left = None if chunked else int(request.header("content-length") or 0)
        if not chunked:
            request.pieces.append(bytearray())
            request.complete = self._left == 0
        return True

    def _read_body(self, request: Request) -> bool:
        """As much as there is of a body with a length, or of a chunk with the CRLF behind it."""
        assert self._left is not None
        if not self._buffer:
            return False
        chunked = request.header("transfer-encoding") is not None
        piece = self._take(min(len(self._buffer), self._left))
        content = max(0, self._left - 2) if chunked else self._left
        request.wire_body += piece
        request.pieces[-1] += piece[:content]
        self._left -= len(piece)
        if self._left == 0:
            request.complete = not chunked
            self._left = None
        return True

    def _read_chunk_size(self, request: Request) -> bool:
        line = self._take_line(request)
        if line is None:
            return False
        size = int(line.partition(b";")[0], 16)
        self._in_trailers = size == 0
        if size:
            self._left = size + 2
            request.pieces.append(bytearray())
        return True

    def _read_trailer(self, request: Request) -> bool:
        line = self._take_line(request)
        if line is None:
            return False
        request.trailers += parse_headers(line)
        if not line:
            self._in_trailers = False
            request.complete = True
        return True

    def _take_line(self, request: Request) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        line = self._take(end + 2)
        request.wire_body += line
        return line[:-2]

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken
