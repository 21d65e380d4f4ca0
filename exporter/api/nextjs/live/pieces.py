"""Socket.IO events as they go to clients: made and encoded once, however many there are. Everything of the room that
says something makes them here."""

from __future__ import annotations

from typing import Any, TypeAlias

from engineio.packet import CLOSE, MESSAGE, Packet

from exporter.api.documents import encode

Piece: TypeAlias = Any
"""An Engine.IO packet; the library publishes no types. It keeps its encoding."""
DEFAULT = "/"
EVENT = "2"
"""The type of a Socket.IO packet that carries an event."""


def piece(namespace: str, event: str, document: Any) -> Piece:
    """An event with one argument."""
    place = "" if namespace == DEFAULT else f"{namespace},"
    return Packet(MESSAGE, f"{EVENT}{place}{encode([event, document]).decode()}")


def closing() -> Piece:
    """What tells a client that polls to come back later."""
    return Packet(CLOSE)


def error_piece(namespace: str, code: str, message: str, **more: Any) -> Piece:
    """The event `error`, in the contract's form: no reason to connect again."""
    return piece(namespace, "error", {"code": code, "message": message, "reconnect": False, "retryIn": 0, **more})
