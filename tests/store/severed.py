"""Connections to a database that end when a transaction is to be committed: before that has happened, after it, or so
that nobody knows."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from exporter.store.database import Database

COMMIT = b"COMMIT\0"
LIMIT_SECONDS = 20.0


class Wire:
    """Between a client and a PostgreSQL: `with Wire(port) as wire: wire.port`."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._cut: str | None = None
        self.may_go_on = threading.Event()
        """For a commit that is held up: the server may have it."""
        self.was_cut = threading.Event()

    def __enter__(self) -> Wire:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_go_on.set()
        self._listener.close()

    def cut(self, when: str) -> None:
        """The next commit is lost (`before`), or its answer is (`after`), or it arrives when the client is gone
        (`late`)."""
        self.was_cut.clear()
        self._cut = when

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                answers = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                threading.Thread(target=self._serve, args=(client, server, answers), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket, answers: threading.Thread) -> None:
        answers.start()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if COMMIT in data and self._cut is not None:
                    self._sever(data, client, server)
                    break
                server.sendall(data)
        _end(client, server)

    def _sever(self, data: bytes, client: socket.socket, server: socket.socket) -> None:
        when, self._cut = self._cut, None
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        if when == "late":
            self.was_cut.set()
            self.may_go_on.wait(LIMIT_SECONDS)
        if when != "before":
            server.sendall(data + b"X\0\0\0\4")  # and farewell: when the server closes, it has committed
            server.shutdown(socket.SHUT_WR)
            while server.recv(65536):
                pass
        self.was_cut.set()


def _pass_on(server: socket.socket, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            client.sendall(data)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def cut_sqlite(database: Database) -> Callable[[str], None]:
    """The next commit to the file fails, `before` or `after` it has been done."""
    dialect: Any = database.writing.dialect
    commit = dialect.do_commit

    def cut(when: str) -> None:
        def fail(connection: Any) -> None:
            dialect.do_commit = commit
            if when == "after":
                commit(connection)
            raise sqlite3.OperationalError("disk I/O error")

        dialect.do_commit = fail

    return cut
