"""Which header fields pass: all, in order and with repeats, but for those that concern one connection only, and for the
cookies of our own sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exporter.keys import SECURE_SESSION_COOKIE, SESSION_COOKIE

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110, 7.6.1: these, and what `Connection` names, end at the next hop."""

_LOOKED_AT = HOP_BY_HOP | {b"cookie"}
_SESSION = SESSION_COOKIE.encode()
_SESSIONS = (_SESSION, SECURE_SESSION_COOKIE.encode())
"""The first is in the second: where it is not, there is neither."""


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields that are forwarded. Names are expected, and returned, in lower case. Browsers send the cookies of the
    admin listener to every port of its host; whoever has one may do there what a key allows."""
    kept: Headers = []
    named: set[bytes] | None = None
    for field in headers:
        if field[0] not in _LOOKED_AT:
            kept.append(field)
        elif field[0] == b"cookie":
            if _SESSION not in field[1]:
                kept.append(field)
            elif value := _without_sessions(field[1]):
                kept.append((b"cookie", value))
        elif field[0] == b"connection":
            tokens = {token.strip().lower() for token in field[1].split(b",")} - _ORDINARY
            if tokens:
                named = tokens if named is None else named | tokens
    if named is not None:
        kept = [field for field in kept if field[0] not in named]
    return kept


# Options of `Connection` that name no header field, or one that is dropped anyway. A client cannot make us drop
# what frames the message or says where it goes.
_ORDINARY = frozenset((b"close", b"keep-alive", b"upgrade", b"te", b"host", b"content-length", b"authorization", b""))


def _without_sessions(cookies: bytes) -> bytes:
    """The value of a `Cookie` field but for our sessions; the others as they are. Empty when there are no others.

    Quotes protect nothing: browsers do not know them, and neither do we where a session is looked for.
    """
    items = cookies.split(b";")
    others = [item for item in items if not item.lstrip().startswith(_SESSIONS)]
    if len(others) == len(items):
        return cookies
    left = b";".join(others).strip()
    return left if left.strip(b"; \t") else b""


def find(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a field, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
