"""Which header fields pass: all, in order and with repeats, but for those that concern one connection only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The fields that are forwarded. Names are expected, and returned, in lower case."""
    kept: Headers = []
    named: set[bytes] | None = None
    for field in headers:
        if field[0] not in HOP_BY_HOP:
            kept.append(field)
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


def find(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a field, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None
