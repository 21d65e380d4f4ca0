"""Sockets, signals, and the one uvicorn server that runs on all sockets; requests are dispatched by the port they came
in on.

`app` binds the listeners before anything is started, so that a port in use is one clear line, and runs `serve` until a
signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import resource
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import uvicorn

from exporter.asgi import ASGIApp, Receive, Scope, Send
from exporter.errors import StartupError
from exporter.http_protocol import Connections, ListenerConfig, TransparentProtocol
from exporter.settings import split_address
from exporter.websocket_protocol import MESSAGE_LIMIT_BYTES

log = logging.getLogger(__name__)

BACKLOG = 4096


def bind(address: str, setting: str) -> socket.socket:
    """A listening socket for `HOST:PORT`. Raises StartupError that names the setting."""
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise StartupError(f"{setting}: {address}: the host name is not known") from None
    family, kind, protocol, _, sockaddr = found[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(sockaddr)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise StartupError(f"{setting}: {address}: {explain(exc)}") from None
    listener.setblocking(False)
    return listener


def explain(error: OSError) -> str:
    """Why nobody can listen there, in words for the operator."""
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use by another process"
        case errno.EACCES:
            return "ports below 1024 need more rights"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case _:
            return (error.strerror or str(error)).lower()


def url(listener: socket.socket) -> str:
    """Where the listener can be reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach the listener."""
    host = str(listener.getsockname()[0])
    return host == "::1" or host.startswith("127.")


def raise_file_limit() -> None:
    """Let the process have as many sockets as the system allows: each proxied stream takes two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Dispatcher:
    """ASGI application that hands each connection to the application of the port that it came in on."""

    def __init__(self, by_port: Mapping[int, ASGIApp]) -> None:
        self._by_port = dict(by_port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._by_port[scope["server"][1]](scope, receive, send)


def _do_nothing() -> None:
    """What is to be done at the stop, when nobody says."""


class Server(uvicorn.Server):
    """uvicorn with our manners at the end: a second signal, whichever it is, ends at once.

    `on_stop` is called when the server begins to stop, before it waits for what is in flight.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None] = _do_nothing) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT: finish what is in flight; again: stop."""
        if self.should_exit:
            self.force_exit = True
            log.warning("stopping at once", extra={"signal": signal.Signals(sig).name})
        else:
            log.info("finishing what is in flight", extra={"signal": signal.Signals(sig).name})
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and wait until what is in flight has ended."""
        self._on_stop()
        await super().shutdown(sockets)


def server(
    apps: Sequence[tuple[socket.socket, ASGIApp]],
    *,
    grace_seconds: float,
    websocket_sockets: Sequence[socket.socket] = (),
    connections: Connections | None = None,
    on_stop: Callable[[], None] = _do_nothing,
) -> Server:
    """The server for these listeners; `serve` runs it."""
    config = ListenerConfig(
        Dispatcher({listener.getsockname()[1]: app for listener, app in apps}),
        websocket_ports=[listener.getsockname()[1] for listener in websocket_sockets],
        connections=connections or Connections(),
        http=TransparentProtocol,
        ws_max_size=MESSAGE_LIMIT_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=math.ceil(grace_seconds),
    )
    return Server(config, on_stop)


async def serve(
    apps: Sequence[tuple[socket.socket, ASGIApp]],
    *,
    grace_seconds: float,
    websocket_sockets: Sequence[socket.socket] = (),
    connections: Connections | None = None,
    on_stop: Callable[[], None] = _do_nothing,
) -> asyncio.Event:
    """Serve until SIGTERM or SIGINT, then finish requests in flight for up to `grace_seconds`.

    `websocket_sockets` are those of `apps` whose application takes WebSockets; on the others a handshake is a request
    like any other. `connections` is kept up to date. `on_stop` is called once, in the event loop, when the first signal
    has come: what would go on for ever, such as event streams, ends itself then. Returned is what is set when the rest
    of the end is to be quick: a second signal has come, or comes yet.
    """
    running = server(
        apps,
        grace_seconds=grace_seconds,
        websocket_sockets=websocket_sockets,
        connections=connections,
        on_stop=on_stop,
    )
    # uvicorn raises the signals that it caught once more when it is done, for whoever handled them
    # before: nobody, here.
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: None)
    await running.serve(sockets=[listener for listener, _ in apps])
    left = list(running.server_state.tasks)
    for task in left:
        task.cancel()
    if left:
        log.warning("requests were cut off", extra={"requests": len(left)})
        await asyncio.wait(left, timeout=1)
    return _hurry_at_signals(already=running.force_exit)


def _hurry_at_signals(*, already: bool) -> asyncio.Event:
    hurry = asyncio.Event()

    def note(sig: signal.Signals) -> None:
        log.warning("stopping at once", extra={"signal": sig.name})
        hurry.set()

    if already:
        hurry.set()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, note, sig)
    return hurry
