"""A real redis-server of our own: on a free port, in a temporary folder, that keeps nothing on disk."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.programs import program

LIMIT_SECONDS = 15.0


class RedisServer:
    """`with RedisServer(port, folder, password="...") as redis: redis.url`; it can be stopped and started again."""

    def __init__(self, port: int, folder: Path, *, password: str | None = None) -> None:
        self.port = port
        self.folder = folder
        self.arguments = ["--requirepass", password] if password else []
        self.process: subprocess.Popen[bytes] | None = None
        user = f":{password}@" if password else ""
        self.url = f"redis://{user}127.0.0.1:{port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen([program("redis-server"), *own, *self.arguments], stdout=subprocess.DEVNULL)
        self._wait_until_it_listens()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(LIMIT_SECONDS)
            self.process = None

    def freeze(self) -> None:
        """It keeps its connections and says nothing any more."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """One command and the beginning of its answer, over a connection of its own and past our client."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_SECONDS) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(65536).decode()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                self.ask("PING")
            except OSError:
                assert self.process is not None
                assert self.process.poll() is None, "redis-server has ended"
                assert time.monotonic() < deadline, "redis-server does not listen"
                time.sleep(0.01)
            else:
                return
