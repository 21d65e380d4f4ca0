"""The answer with the rows: a JSON array that is written while the store is read, page by page, in constant memory.

The next page is asked for when the client's connection has taken the last one.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from starlette.responses import Response

from exporter.api.completions.queries import PageQuery
from exporter.api.completions.rows import write_rows
from exporter.api.documents import NO_CACHE
from exporter.api.operation import JSON
from exporter.asgi import Receive, Scope, Send
from exporter.errors import StoreError
from exporter.store.figures import Cursor, Past, Period

log = logging.getLogger(__name__)

PAGE_ROWS = 100
"""Few, so that the answer begins soon, and since a page is made into text by one call, during which no other thread of
the interpreter gets on: traffic would wait for it."""

Pages = AsyncGenerator[bytes, None]


async def read_pages(past: Past, query: PageQuery) -> Pages:
    """Rows as JSON, page by page: `{...},{...}`. Raises StoreError, at any of them.

    Where a limit falls between rows of the same microsecond, all of these are given: a client goes on `before` it.
    """
    period, left = query
    if _is_empty(period):
        return
    cursor: Cursor | None = None
    while left is None or left > 0:
        count = PAGE_ROWS if left is None else min(PAGE_ROWS, left)
        page, cursor = await past.page(period, cursor, count, write_rows)
        yield page
        if cursor is None:
            return
        left = None if left is None else left - count
    while cursor is not None:
        moment = period._replace(start_us=cursor.finished_us, end_us=cursor.finished_us)
        page, cursor = await past.page(moment, cursor, PAGE_ROWS, write_rows)
        yield page


def _is_empty(period: Period) -> bool:
    return period.start_us is not None and period.end_us is not None and period.start_us > period.end_us


class Listing(Response):
    """The response: `first` and what `pages` has after it."""

    media_type = JSON

    def __init__(self, first: bytes, pages: Pages) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(NO_CACHE)
        self._first = first
        self._pages = pages
        self._left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Needs the server of `listeners`."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        scope["on_leave"](self._leave)
        try:
            await self._send_rows(send)
        except StoreError as error:
            # The head is out: returning without an end makes the server close the connection, which tells the client.
            log.warning("list of requests broken off", extra={"reason": str(error)})
            return
        finally:
            scope["on_leave"](None)
            await self._pages.aclose()
        await send({"type": "http.response.body", "body": b"]", "more_body": False})

    async def _send_rows(self, send: Send) -> None:
        await _send_piece(send, b"[" + self._first)
        comma = b"," if self._first else b""
        while not self._left:
            page = await anext(self._pages, None)
            if page is None:
                return
            if page:
                await _send_piece(send, comma + page)
                comma = b","

    def _leave(self) -> None:
        self._left = True


async def _send_piece(send: Send, piece: bytes) -> None:
    """Send it, and wait until the connection has taken it: uvicorn waits before it writes, not after."""
    await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": True})


class Heading(Response):
    """The response to HEAD: that of a list whose length nobody knows yet."""

    media_type = JSON

    def __init__(self) -> None:
        super().__init__(headers=NO_CACHE)
        del self.headers["content-length"]
