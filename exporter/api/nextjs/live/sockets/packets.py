"""Socket.IO events as they go to clients: made and encoded once, however many there are. Everything of the room that
says something makes them here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from exporter.api.documents import encode
from exporter.api.nextjs.live.sockets.lean import engineio
from exporter.api.nextjs.slices import steps

T = TypeVar("T")

DEFAULT = "/"
EVENT = "2"
"""The type of a Socket.IO packet that carries an event."""


class Packet(engineio.packet.Packet):  # type: ignore[misc] # the library has no types
    """An Engine.IO packet. It keeps its encoding."""

    says: object = None
    """Equal for packets that tell the same, whenever they were made."""


class Text(str):
    """JSON that is encoded already."""

    __slots__ = ()


def packet(namespace: str, event: str, document: Any, says: object = None) -> Packet:
    """An event with one argument, which may be a Text. `says`: what is compared, if not all of it."""
    place = "" if namespace == DEFAULT else f"{namespace},"
    made = Packet(engineio.packet.MESSAGE, f"{EVENT}{place}[{_text(event)},{_text(document)}]")
    made.says = made.data if says is None else says
    return made


def closing() -> Packet:
    """What tells a client that polls to come back later."""
    return Packet(engineio.packet.CLOSE)


def error_packet(namespace: str, code: str, message: str, **more: Any) -> Packet:
    """The event `error`, in the contract's form: no reason to connect again."""
    return packet(namespace, "error", {"code": code, "message": message, "reconnect": False, "retryIn": 0, **more})


def encode_object(members: Mapping[str, Any]) -> Text:
    """An object, some of whose members may be Texts."""
    return Text(f"{{{','.join(f'{_text(name)}:{_text(value)}' for name, value in members.items())}}}")


def encode_slices(items: Sequence[T], shape: Callable[[T], Any]) -> Generator[None, None, Text]:
    """A list of the shapes of all items: a step for each slice of them."""
    return Text((yield from steps(items, shape)).decode())


def _text(document: Any) -> str:
    return document if isinstance(document, Text) else encode(document).decode()
