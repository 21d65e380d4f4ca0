"""Carries the body of one answer to the client, each piece in the very call in which it arrives.

Waking a task for every streamed token costs a turn of the event loop, which is more than everything else that we do
with it.
So a piece is sent from within the upstream connection's `data_received`, and the serving task sleeps until the answer
ends, breaks
off, or the client is too slow.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from exporter.proxy.client import Message
from exporter.proxy.transport import AnswerStream

Send = Callable[[Message], Awaitable[None]]
Suspended = tuple[Generator[Any, Any, None], Any]
"""A call that was run to its first wait, and what it waits for."""


class Relay:
    """One answer's body on its way.

    `observe` is told of each piece after it went out, with the time at which it came in; `on_end`, before anything else
    can happen, that the last one has gone out.
    """

    __slots__ = ("_clock", "_ended", "_observe", "_on_end", "_send", "_stream")

    def __init__(
        self,
        stream: AnswerStream,
        send: Send,
        observe: Callable[[float, bytes], None],
        on_end: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._send = send
        self._observe = observe
        self._on_end = on_end
        self._clock = clock
        self._ended = False

    async def run(self) -> None:
        """Relay everything, to the end. Raises what the stream raises when the answer breaks off."""
        stream = self._stream
        while not self._ended:
            piece = await stream.read()
            arrived = self._clock()
            self._ended = stream.at_end
            await self._send({"type": "http.response.body", "body": piece, "more_body": not self._ended})
            if not self._ended:
                self._observe(arrived, piece)
                suspended = await stream.pipe(self._push)
                if suspended is not None:
                    await _finish(suspended)
                continue
            self._on_end()
            self._observe(arrived, piece)

    def _push(self, piece: bytes, at_end: bool) -> Suspended | None:
        """Send a piece now. Where the client cannot take more, what is left to wait for is returned."""
        arrived = self._clock()
        sending = self._send({"type": "http.response.body", "body": piece, "more_body": not at_end}).__await__()
        try:
            waits_for = next(sending)
        except StopIteration:
            if at_end:
                self._ended = True
                self._on_end()
            self._observe(arrived, piece)
            return None
        self._ended = at_end
        self._observe(arrived, piece)
        return sending, waits_for


@types.coroutine
def _finish(suspended: Suspended) -> Generator[Any, Any, None]:
    """Run the rest of a call whose first step was taken outside of any task."""
    rest, waits_for = suspended
    while True:
        try:
            yield waits_for
        except BaseException as exc:  # the serving task is cancelled: the call that it waits for hears of it
            rest.throw(exc)
            raise
        try:
            waits_for = next(rest)
        except StopIteration:
            return
