"""Which web pages may use the admin listener: pages of other origins may read, as far as they are allowed to, and
change nothing unless they are named."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from exporter.api.forms import Forms
from exporter.asgi import ASGIApp, Receive, Scope, Send

ANY = "*"
READING = ("GET", "HEAD", "OPTIONS")
EXPOSED = (
    "X-Request-ID",
    "X-API-Version",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
)
MAX_AGE_SECONDS = 600


class Cors:
    """Adds what browsers ask for (Fetch standard, "CORS protocol"), and refuses what a foreign page must not do.

    Without credentials: keys are sent in header fields, which pages must be given. A page that is not named cannot have
    the user's browser change anything here, not even by a plain form; a WebSocket of such a page has
    `scope["reads_only"]`, for rooms that take orders over theirs.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str], forms: Forms, trusts_names: bool) -> None:
        """`trusts_names`: a page of our own needs a key as well, so that it does not matter what its host is called."""
        self._app = app
        self._trusts_names = trusts_names
        self._forms = forms
        self._named = frozenset(origin.lower() for origin in origins if origin != ANY)
        self._any = ANY in origins
        self._for_named = _allow(app, sorted(self._named), [ANY])
        self._for_any = _allow(app, [ANY], READING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or self._is_own(origin, headers.get("host", "")):
            return self._app
        if origin.lower() in self._named:
            return self._for_named
        if not self._any and scope["type"] == "websocket":
            return self._refuse(scope)
        if scope["type"] == "http" and scope["method"] not in READING:
            return self._refuse(scope)
        if scope["type"] == "websocket":
            scope["reads_only"] = True
        return self._for_any if self._any else self._app

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether the page is one of ours. Where everybody has access who can connect, a page of any name can claim to
        be: its name only has to lead to this machine (DNS rebinding). Addresses and `localhost` cannot be claimed so.
        """
        _, _, place = origin.partition("://")
        return place == host and (self._trusts_names or _is_address(place))

    def _refuse(self, scope: Scope) -> Response:
        message = "pages of this origin may not do that; admin.cors_origins names those that may"
        return self._forms.at(scope["path"])(403, message)


def _is_address(place: str) -> bool:
    """Whether `host[:port]` is an IP address, or this machine."""
    try:
        host = urlsplit(f"//{place}").hostname or ""
        return host == "localhost" or bool(ip_address(host))
    except ValueError:
        return False


def _allow(app: ASGIApp, origins: Sequence[str], methods: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=methods,
        allow_headers=[ANY],
        expose_headers=EXPOSED,
        max_age=MAX_AGE_SECONDS,
    )
