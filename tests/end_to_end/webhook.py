"""Who is told of alerts: an HTTP server that keeps what Alertmanager posts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Notification = dict[str, Any]
"""Alertmanager's webhook document, version 4."""


class Webhook:
    """What has come so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.notifications: list[Notification] = []

    def told(self, status: str, **labels: str) -> list[dict[str, Any]]:
        """The alerts with that status (`firing`, `resolved`) and these labels."""
        return [
            alert
            for notification in tuple(self.notifications)
            for alert in notification["alerts"]
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A receiver on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.notifications.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Webhook(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
