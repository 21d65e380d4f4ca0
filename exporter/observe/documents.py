"""Reading JSON that nobody vouches for: every value is checked for its type before it becomes a fact.

Called by all dialects. Nothing here raises but `parse`, and that only ValueError.
"""

from __future__ import annotations

import json
import re
from typing import Any

TEXT_LIMIT = 256
"""Model names and other strings that a peer chose are cut to this many characters."""

COUNT_LIMIT = 1 << 53
"""No counter is believed beyond this: it is the largest integer that every consumer (floats, SQL) can hold."""

PROXY_ERROR = "proxy_error"
"""The reason where a router sends `ROUTER_ERROR`: its own words, as a label."""
ROUTER_ERROR = b"proxy error"
"""With what llama-server's router begins the bare text that says that it has lost the server which was to answer: that
was unloaded by force, or has crashed. The text ends a stream of status 200, outside of any event, or is the body of a
500, in spite of its type `application/json`."""

_raw_decode = json.JSONDecoder(strict=False).raw_decode
_LABEL = re.compile(r"[a-z0-9_.-]{1,64}")

Document = dict[str, Any]


def parse(data: bytes) -> object:
    """Parse JSON, tolerating broken UTF-8 and raw control characters. Raises ValueError when it is not JSON."""
    source = str(data, "utf-8", "replace").strip(" \t\r\n")
    try:
        document, end = _raw_decode(source)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if end != len(source):
        raise ValueError("something follows the document")
    return document


def mapping(value: object) -> Document:
    """`value` when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """`value` when it is an array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """`value` when it is a string with something in it, cut to 256 characters."""
    return value[:TEXT_LIMIT] if isinstance(value, str) and value else None


def whole(value: object) -> int | None:
    """`value` when it is a believable count: an integer from 0 to 2^53."""
    return value if type(value) is int and 0 <= value <= COUNT_LIMIT else None


def real(value: object) -> float | None:
    """`value` when it is a believable quantity: a finite number, 0 or more."""
    if (type(value) is float or type(value) is int) and 0 <= value <= COUNT_LIMIT:
        return float(value)
    return None


def error_label(error: object) -> str:
    """The low-cardinality reason in an error object: its `type`, or its `code` where `type` says nothing.

    llama-server and OpenAI send `{"type": "server_error", "code": 500}`; the responses dialect sends
    `{"type": "error", "code": "server_error"}` or no `type` at all.
    """
    fields = mapping(error)
    kind = fields.get("type")
    if kind in (None, "error") and isinstance(fields.get("code"), str):
        kind = fields["code"]
    lowered = kind.lower() if isinstance(kind, str) else ""
    return lowered if _LABEL.fullmatch(lowered) else "error"
