"""Carries the body of one answer to the client, each piece in the very call in which it arrives.

Waking a task for every streamed token costs a turn of the event loop, which is more than everything else that we do
with it. So a piece is written from within the upstream connection's `data_received`, and the serving task sleeps until
the answer ends, breaks off, or the client is too slow.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.asgi import Send
from exporter.proxy.transport import AnswerStream

Write = Callable[[bytes], bool]
"""Sends a piece at once; False when the client cannot take more for now."""


class Relay:
    """One answer's body on its way.

    `observe` is told of each piece after it went out, with the time at which it came in; `on_end`, before anything else
    can happen, that the last one has gone out.
    """

    __slots__ = ("_clock", "_observe", "_on_end", "_send", "_stream", "_write")

    def __init__(
        self,
        stream: AnswerStream,
        *,
        send: Send,
        write: Write,
        observe: Callable[[float, bytes], None],
        on_end: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._send = send
        self._write = write
        self._observe = observe
        self._on_end = on_end
        self._clock = clock

    async def run(self) -> None:
        """Relay everything, to the end. Raises what the stream raises when the answer breaks off."""
        stream = self._stream
        ended = False
        while not ended:
            piece = await stream.read()
            arrived = self._clock()
            ended = stream.at_end
            await self._send({"type": "http.response.body", "body": piece, "more_body": not ended})
            if ended:
                self._on_end()
            self._observe(arrived, piece)
            if not ended:
                await stream.pipe(self._push)

    def _push(self, piece: bytes) -> bool:
        """Pass a piece on now. False when the client is too slow: the serving task shall take over."""
        arrived = self._clock()
        goes_on = self._write(piece)
        self._observe(arrived, piece)
        return goes_on
