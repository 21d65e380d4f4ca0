"""Walking over the bytes of a header that may lie: nothing is read or skipped that the file cannot have. `gguf` knows
what the bytes mean."""

from __future__ import annotations

import struct
from collections.abc import Callable

from exporter.errors import LlamaExporterError

HEADER_LIMIT = 64 << 20
"""Bytes. The largest of llama.cpp's own vocabularies (Gemma 4: 262,144 tokens, 514,906 merges) has 16 MB."""
CHUNK_BYTES = 65_536
"""Read at once."""
Read = Callable[[int, int], bytes]
"""The bytes at a position: so many, or fewer where the file ends."""


class GgufError(LlamaExporterError):
    """Not a file that llama.cpp could load; the message is a sentence that says why."""


class Cursor:
    """How far the file has been walked, and the bytes from there on that have been read already."""

    def __init__(self, read: Read, size: int) -> None:
        self.order = "<"
        self.at = 0
        self.size = size
        self._read = read
        self._end = min(size, HEADER_LIMIT)
        self._chunk = b""
        self._chunk_at = 0

    def number(self, form: str, what: str) -> int:
        """The next number; `form` as in `struct`."""
        form = self.order + form
        value: int = struct.unpack(form, self.take(struct.calcsize(form), what))[0]
        return value

    def take(self, count: int, what: str) -> bytes:
        """The next bytes."""
        self.check(count, what)
        start = self.at - self._chunk_at
        if start + count > len(self._chunk):
            self._fill(count, what)
            start = 0
        self.at += count
        return self._chunk[start : start + count]

    def skip(self, count: int, what: str) -> None:
        """Leave out the next bytes; they are not read."""
        self.check(count, what)
        self.at += count

    def skip_strings(self, count: int, what: str) -> None:
        """Leave out strings: of those, the lengths have to be read one by one, hence the tight loop."""
        self.check(count * 8, what)
        unpack = struct.Struct(f"{self.order}Q").unpack_from
        while count:
            self.check(8, what)
            start = self.at - self._chunk_at
            if start + 8 > len(self._chunk):
                self._fill(8, what)
                start = 0
            chunk, last = self._chunk, len(self._chunk) - 8
            while count and start <= last:
                start += 8 + unpack(chunk, start)[0]
                count -= 1
            self.at = self._chunk_at + start
        self.check(0, what)

    def check(self, count: int, what: str) -> None:
        """Raise GgufError unless the header can have so many bytes more."""
        if self.at + count <= self._end:
            return
        if self._end < self.size and self.at + count <= self.size:
            raise GgufError(f"its header is longer than {HEADER_LIMIT >> 20} MiB: {what} goes beyond that")
        raise GgufError(f"{what} goes beyond the end of the file: it is cut short, or lies about a length")

    def _fill(self, count: int, what: str) -> None:
        self._chunk = self._read(self.at, min(max(count, CHUNK_BYTES), self._end - self.at))
        self._chunk_at = self.at
        if len(self._chunk) < count:
            raise GgufError(f"the file has become shorter while {what} was read")
