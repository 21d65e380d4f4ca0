"""Addresses of this machine at which no connection can be made."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def unused_port() -> AsyncIterator[int]:
    """A port at which nobody listens, and nobody else will."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """The URL of a server that refuses connections."""
    async with unused_port() as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def full_listener() -> AsyncIterator[str]:
    """An address at which connecting takes for ever: its queue is full. Its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as queue:
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
