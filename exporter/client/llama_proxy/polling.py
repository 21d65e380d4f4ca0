"""Socket.IO over Engine.IO's HTTP long-polling, as much of it as listening to one namespace takes: `metrics` listens.

Engine.IO 4: packets have a digit and are joined by a record separator; a message (4) holds a Socket.IO packet, which
has a digit of its own, a namespace, and JSON. https://socket.io/docs/v4/engine-io-protocol/
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from exporter.client.llama_proxy.errors import ConnectFailedError, LlamaProxyError, ProtocolError
from exporter.client.llama_proxy.exchange import Answer, Exchange, refusal

SEPARATOR = "\x1e"
OPEN, CLOSE, PING, PONG, MESSAGE = "0", "1", "2", "3", "4"
"""Packets of Engine.IO."""
CONNECT, DISCONNECT, EVENT, CONNECT_ERROR = "0", "1", "2", "4"
"""Packets of Socket.IO."""
HANDSHAKE = {"EIO": "4", "transport": "polling"}
FAREWELL_SECONDS = 1.0
"""For telling the sidecar that nobody listens any more; it finds out by itself, too."""
LONGEST_SILENCE_SECONDS = 300.0
"""However rarely the sidecar says that it pings."""


class Event(NamedTuple):
    """What a namespace says."""

    name: str
    value: Any
    """Its first argument."""


class LostError(Exception):
    """The session is over, or never came to be, for a reason that another one may not have. Applications do not see
    it; `cause` is what they see instead, when nobody tries again."""

    def __init__(self, cause: LlamaProxyError) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.asked_seconds: float = getattr(cause, "retry_after", None) or 0.0
        """How long the sidecar wants us to wait."""


class Session:
    """A connection to one namespace. Its methods raise LostError, and other LlamaProxyErrors where a new session would
    fare no better."""

    def __init__(self, exchange: Exchange, namespace: str) -> None:
        self._exchange = exchange
        self._namespace = namespace
        self._query = dict(HANDSHAKE)
        self._silence_seconds = exchange.timeout_seconds

    def open(self) -> None:
        """Shake hands and ask for the namespace; the answer to that comes among the events."""
        packet, *_ = self._get()
        if not packet.startswith(OPEN):
            raise ProtocolError("the answer is no handshake of Engine.IO")
        said = _json(packet[1:])
        try:
            seconds = (float(said["pingInterval"]) + float(said["pingTimeout"])) / 1000
            self._query["sid"] = str(said["sid"])
        except (TypeError, KeyError, ValueError):
            raise ProtocolError("the handshake of Engine.IO is incomplete") from None
        self._silence_seconds = min(seconds, LONGEST_SILENCE_SECONDS)
        self._post(f"{MESSAGE}{CONNECT}{self._namespace},", self._exchange.timeout_seconds)

    def events(self) -> Iterator[Event]:
        """What is said, as it comes, until the session is lost."""
        while True:
            for packet in self._get():
                event = self._read(packet)
                if event is not None:
                    yield event

    def close(self) -> None:
        """Take leave, as well as it goes."""
        if "sid" in self._query and not self._exchange.is_closed():
            try:
                self._post(f"{MESSAGE}{DISCONNECT}{self._namespace},{SEPARATOR}{CLOSE}", FAREWELL_SECONDS)
            except (LostError, LlamaProxyError):
                return

    def _read(self, packet: str) -> Event | None:
        if packet == CLOSE:
            raise LostError(ConnectFailedError("the sidecar has closed the session"))
        if packet.startswith(PING):
            self._post(PONG + packet[1:], self._exchange.timeout_seconds)
        if not packet.startswith(MESSAGE):
            return None
        kind, rest = packet[1:2], packet[2:]
        namespace, _, data = rest.partition(",") if rest.startswith("/") else ("/", "", rest)
        if namespace != self._namespace:
            return None
        if kind == DISCONNECT:
            raise LostError(ConnectFailedError("the sidecar has ended the connection"))
        if kind == CONNECT_ERROR:
            raise ProtocolError(f"the sidecar refuses {namespace}: {_message(_json(data))}")
        return _event(data) if kind == EVENT else None

    def _get(self) -> list[str]:
        answer = self._ask("GET", self._silence_seconds)
        try:
            return answer.body.decode().split(SEPARATOR)
        except UnicodeDecodeError:
            raise ProtocolError("the answer is no packet of Engine.IO") from None

    def _post(self, packets: str, timeout_seconds: float) -> None:
        self._ask("POST", timeout_seconds, packets.encode())

    def _ask(self, method: str, timeout_seconds: float, content: bytes | None = None) -> Answer:
        url = self._exchange.address.socket_io
        try:
            answer = self._exchange.once(
                method,
                url,
                timeout_seconds,
                query=self._query,
                content=content,
                content_type="text/plain;charset=UTF-8",
            )
        except ConnectFailedError as error:
            raise LostError(error) from error
        if answer.status == 200:
            return answer
        said = refusal(answer)
        # 400 is what an unknown session is answered with: the sidecar was restarted, or has given us up.
        is_passing = answer.status in (429, 502, 503, 504) or (answer.status == 400 and "sid" in self._query)
        if is_passing:
            raise LostError(said)
        raise said


def _event(data: str) -> Event | None:
    said = _json(data.lstrip("0123456789"))  # the number of an acknowledgement that is wished for
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        raise ProtocolError("the answer is no event of Socket.IO")
    return Event(said[0], said[1] if len(said) > 1 else None)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("the answer is no packet of Socket.IO") from None


def _message(said: Any) -> str:
    message = said.get("message") if isinstance(said, dict) else said
    return str(message)[:200]
