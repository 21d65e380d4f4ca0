"""Who is told of alerts: an HTTP server that keeps what Alertmanager posts, and tells it to whoever asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

Notification = dict[str, Any]
"""Alertmanager's webhook document, version 4."""
Alert = dict[str, Any]


class Received:
    """What has come so far to the receiver at an address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def notifications(self) -> list[Notification]:
        """All of them, in the order in which they came."""
        found: list[Notification] = httpx.get(self._url, timeout=10).json()
        return found

    def alerts(self, status: str, **labels: str) -> list[Alert]:
        """The alerts with that status (`firing`, `resolved`) and these labels."""
        return [
            alert
            for notification in self.notifications()
            for alert in notification["alerts"]
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]


@contextmanager
def webhook() -> Iterator[str]:
    """The address of a receiver on a free port: it takes what is posted, and answers a GET with all of it."""
    notifications: list[Notification] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")

        def do_GET(self) -> None:
            self._answer(json.dumps(notifications).encode())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(10)
