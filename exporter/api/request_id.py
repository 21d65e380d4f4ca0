"""The id that a client gives its request, as two contracts send it back."""

from __future__ import annotations

from starlette.datastructures import Headers

from exporter.asgi import Scope

REQUEST_ID = "X-Request-ID"
LIMIT = 128
"""Characters; a longer one is not sent back."""


def given_id(scope: Scope) -> str | None:
    """The client's, as far as it can be sent back (printable ASCII of sane length)."""
    given = Headers(scope=scope).get(REQUEST_ID, "").strip()
    return given if 0 < len(given) <= LIMIT and given.isascii() and given.isprintable() else None
