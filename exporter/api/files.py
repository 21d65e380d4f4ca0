"""Answers whose bytes stay the same while the process lives: made once, sent compressed to those who take that, and not
sent at all to those who have them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import NO_CACHE

VARY = {"vary": "Accept-Encoding"}


class File:
    """One of them."""

    def __init__(
        self, media: str, packed: bytes, plain: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """`packed` is in gzip form; `plain` the same without, made when it is first wanted."""
        self.media = media
        self._packed = packed
        self._plain = plain
        self._headers = {**NO_CACHE, **VARY, "x-content-type-options": "nosniff", **(headers or {})}
        self._digest = hashlib.sha256(packed).hexdigest()[:32]

    @classmethod
    def of(cls, media: str, plain: bytes, headers: Mapping[str, str] | None = None) -> File:
        """From bytes that are not compressed yet."""
        return cls(media, gzip.compress(plain, mtime=0), plain, headers)

    async def answer(self, request: Request) -> Response:
        """To GET and HEAD."""
        is_packed = takes_gzip(request.headers.getlist("accept-encoding"))
        etag = f'"{self._digest}{"-gzip" if is_packed else ""}"'
        headers = {**self._headers, "etag": etag}
        if has_current(request.headers.getlist("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        if is_packed:
            return Response(self._packed, headers={**headers, "content-encoding": "gzip"}, media_type=self.media)
        return Response(await self._unpack(), headers=headers, media_type=self.media)

    async def _unpack(self) -> bytes:
        """In a thread: a megabyte takes milliseconds, and streams flow meanwhile."""
        if self._plain is None:
            self._plain = await asyncio.to_thread(gzip.decompress, self._packed)
        return self._plain


def takes_gzip(accept_encoding: Sequence[str]) -> bool:
    """Whether `Accept-Encoding` (RFC 9110, 12.5.3) names gzip; nobody is sent it unasked."""
    return any(
        coding.strip().lower() == "gzip" and not _is_refused(parameters)
        for item in ",".join(accept_encoding).split(",")
        for coding, _, parameters in (item.partition(";"),)
    )


def _is_refused(parameters: str) -> bool:
    """`q=0`, also as `q=0.000`."""
    name, _, weight = parameters.partition("=")
    return name.strip().lower() == "q" and not weight.strip().strip("0.")


def has_current(if_none_match: Sequence[str], etag: str) -> bool:
    """Whether `If-None-Match` (RFC 9110, 13.1.2) has the entity tag; ours hold no commas."""
    tags = {tag.strip().removeprefix("W/") for tag in ",".join(if_none_match).split(",")}
    return etag in tags or "*" in tags
