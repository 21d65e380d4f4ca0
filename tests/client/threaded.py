"""An ASGI application served at a fixed port from a thread of its own, for clients that block; it can be stopped and
started again."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn

LIMIT_SECONDS = 20.0


class ThreadedServer:
    """Whoever has one calls `serve` and `stop` in turns."""

    loop: asyncio.AbstractEventLoop
    """While it serves."""

    def __init__(self, port: int) -> None:
        self._port = port

    def serve(self, app: Any, **options: Any) -> None:
        """Return as soon as it takes connections. `options` are uvicorn's."""
        # With the protocol named: asyncio turns Nagle's algorithm off only where it sees that it is TCP.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen()
        config = uvicorn.Config(
            app,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            **options,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, args=(listener,))
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> None:
        """Nobody listens any more, and every connection is closed."""
        self._server.should_exit = True
        self._thread.join(LIMIT_SECONDS)
        assert not self._thread.is_alive()

    def _run(self, listener: socket.socket) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            runner.run(self._server.serve([listener]))


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
