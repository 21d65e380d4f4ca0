"""Captured answers of a real llama-server, turned back into bytes on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.received import Headers, parse_headers
from tests.fakes.wire import LAST_CHUNK, chunk, split_randomly, sse_frames

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "llama-server"


@dataclass(frozen=True, slots=True)
class Capture:
    """One answer of a real llama-server."""

    request: str
    """The curl command that it answered; empty where the capture does not say."""
    head: bytes
    """Status line, headers and blank line as sent."""
    body: bytes
    """Without chunk framing."""

    @property
    def status(self) -> int:
        """Status code."""
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> Headers:
        """Headers as sent, in order."""
        return parse_headers(self.head.partition(b"\r\n")[2])

    @property
    def chunked(self) -> bool:
        """Whether the body was sent in chunks."""
        return ("Transfer-Encoding", "chunked") in self.headers

    @property
    def closes(self) -> bool:
        """Whether the server closed the connection after the answer."""
        return ("Connection", "close") in self.headers

    @property
    def frames(self) -> list[bytes]:
        """The body as llama-server hands it out: one piece per SSE frame, one piece for anything else."""
        is_stream = ("Content-Type", "text/event-stream") in self.headers
        return sse_frames(self.body) if is_stream else [self.body]

    def pieces(self, cuts: Sequence[bytes] | None = None) -> list[bytes]:
        """The answer as on the wire: head, then `cuts` (default: `frames`), chunk framing where the capture has it."""
        body = self.frames if cuts is None else list(cuts)
        if not self.chunked:
            return [self.head, *body]
        return [self.head, *(chunk(piece) for piece in body), LAST_CHUNK]

    def split(self, seed: int, pieces: int = 8) -> list[bytes]:
        """The answer as on the wire, cut at random places: in the head, in chunk sizes, within characters."""
        return split_randomly(b"".join(self.pieces()), seed, pieces)


def capture(path: Path) -> Capture:
    """Load a capture: an optional line `# request: ...`, then status line, headers and the body without framing."""
    data = path.read_bytes()
    request = ""
    if data.startswith(b"# request: "):
        line, _, data = data.partition(b"\n")
        request = line.removeprefix(b"# request: ").decode()
    block, _, body = data.partition(b"\r\n\r\n")
    return Capture(request, block + b"\r\n\r\n", body)


def golden(name: str) -> Capture:
    """A capture from `tests/golden/llama-server`, by the name of its file without `.http`."""
    return capture(GOLDEN / f"{name}.http")
