"""Sessions of browsers that have signed in: a signed cookie in place of a key, since EventSource and WebSocket cannot
send header fields. `admin` lets requests pass by them; `monitoring.sign_in` begins and ends them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import islice

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.responses import Response

from exporter.api.cors import READING
from exporter.asgi import Scope
from exporter.keys import SECURE_SESSION_COOKIE, SESSION_COOKIE

LASTS_DAYS = 7
"""The page stays open on screens and phones, and is looked at every day: with hours only, people would keep the key
where it is quick to copy. Longer than a week is not needed; whoever must go sooner is shut out by a change of keys."""
LASTS_SECONDS = LASTS_DAYS * 24 * 60 * 60
COOKIES = 200
"""As many of our names are looked at: a browser keeps at most 180 for a host."""
OWN_SITES = ("same-origin", "none")
"""What `Sec-Fetch-Site` says of requests of our own pages, and of people who typed the address."""


class _Kind(StrEnum):
    """How a session began. It is what is signed: apart from that, all who have signed in may do the same."""

    PLAIN = "plain"
    TLS = "tls"


class Sessions:
    """Begins sessions, and knows them again; false without keys, when nobody needs one.

    They are known by the signature alone, which the keys make: they survive a restart, and end when any key changes.
    """

    def __init__(self, keys: Sequence[str], *, wall: Callable[[], float] = time.time) -> None:
        """Takes about 40 ms and for that time 16 MB where there are keys: once, before anything is served."""
        secret = _derive(keys) if keys else secrets.token_bytes(32)
        self._has_keys = bool(keys)
        self._signer = _Signer(secret, wall)
        ending = hmac.new(secret, b"name", hashlib.sha256).hexdigest()[:8]
        self._names = {_Kind.PLAIN: SESSION_COOKIE + ending, _Kind.TLS: SECURE_SESSION_COOKIE + ending}
        """Browsers do not tell ports apart: sidecars with other keys on this host have cookies of other names. So have
        the kinds: browsers let no page without TLS replace a cookie that is `Secure`."""
        self._kinds = {name: kind for kind, name in self._names.items()}

    def __bool__(self) -> bool:
        return self._has_keys

    def holds(self, scope: Scope) -> bool:
        """Whether the request has a valid cookie, whichever page had the browser send it."""
        return bool(self._held(scope))

    def admits(self, scope: Scope) -> bool:
        """Whether the request may pass: it has a valid cookie, and comes from one of our own pages. A session that
        began over TLS is not for pages without it, which anybody on the way can make up."""
        held = self._held(scope)
        return (_Kind.PLAIN in held or (_Kind.TLS in held and _may_be_over_tls(scope))) and _is_ours(scope)

    def set_cookie(self, response: Response, scope: Scope) -> None:
        """Have the browser send a cookie of a session that begins now, for `LASTS_SECONDS`."""
        kind = _Kind.TLS if _is_over_tls(scope) else _Kind.PLAIN
        value = self._signer.sign(kind.encode()).decode("ascii")
        secure = kind is _Kind.TLS
        response.set_cookie(self._names[kind], value, LASTS_SECONDS, secure=secure, httponly=True, samesite="strict")

    def unset_cookie(self, response: Response, scope: Scope) -> None:
        """Have the browser forget its cookies. Whoever has none is not told a name: keys could be guessed by that,
        elsewhere and without limit, if slowly."""
        for kind in sorted(self._held(scope)):
            secure = kind is _Kind.TLS
            response.delete_cookie(self._names[kind], secure=secure, httponly=True, samesite="strict")

    def _held(self, scope: Scope) -> set[_Kind]:
        """Of which kinds the request has a valid cookie. Any of the names will do: other servers on this host can have
        set some as well."""
        looked_at = islice(_cookies(scope, self._kinds), COOKIES)
        return {kind for kind, value in looked_at if self._is_valid(kind, value)}

    def _is_valid(self, kind: _Kind, value: str) -> bool:
        try:
            return self._signer.unsign(value.encode("latin-1"), max_age=LASTS_SECONDS) == kind.encode()
        except BadSignature:
            return False


class _Signer(TimestampSigner):
    """The library's, with a clock that is passed."""

    def __init__(self, secret: bytes, wall: Callable[[], float]) -> None:
        super().__init__(secret, salt=b"session", key_derivation="hmac", digest_method=hashlib.sha256)
        self._wall = wall

    def get_timestamp(self) -> int:
        """UTC seconds since the epoch."""
        return int(self._wall())


def _derive(keys: Sequence[str]) -> bytes:
    """The same for the same keys in any order. Slow on purpose: whoever has a cookie could find out by it whether a key
    that they guess is right, and each guess costs them as much. The salt is fixed, for nothing is kept between two
    starts."""
    known = "\n".join(sorted({key.strip() for key in keys})).encode()
    return hashlib.scrypt(known, salt=b"llama-exporter sessions", n=2**14, r=8, p=1, dklen=32)


def _cookies(scope: Scope, kinds: Mapping[str, _Kind]) -> Iterator[tuple[_Kind, str]]:
    """The values of all cookies of these names."""
    for field in Headers(scope=scope).getlist("cookie"):
        for item in field.split(";"):
            name, _, value = item.partition("=")
            if kind := kinds.get(name.strip(" \t")):
                yield kind, value.strip(" \t")


def _is_ours(scope: Scope) -> bool:
    """Whether one of our own pages asks, or nobody's. Cookies do not tell: those of `SameSite=Strict` go along with
    requests of pages from every port of this host.

    Browsers name the origin with every WebSocket and whatever changes something, and then it must be ours. Otherwise
    they do so for foreign pages that could read the answer; `Sec-Fetch-Site` tells of the rest, but only over TLS or on
    this very machine. With WebSockets not all send it; the origin tells all but whether the page came over TLS.
    """
    headers = Headers(scope=scope)
    host, origins = headers.get("host", ""), headers.getlist("origin")
    if not all(host and origin.partition("://")[2] == host for origin in origins):
        return False
    sites = headers.getlist("sec-fetch-site")
    if scope["type"] == "websocket":
        return bool(origins) and "cross-site" not in sites
    if scope["method"] not in READING and not origins:
        return False
    return all(site in OWN_SITES for site in sites)


def _is_over_tls(scope: Scope) -> bool:
    """Whether the browser came over TLS. Where a reverse proxy ends that, only the origin of the page still says so;
    it is the browser's own cookie that it decides about."""
    if "origin" in Headers(scope=scope):
        return _may_be_over_tls(scope)
    return scope.get("scheme") in ("https", "wss")


def _may_be_over_tls(scope: Scope) -> bool:
    """Whether no origin says otherwise: reading, browsers name none to their own pages."""
    return all(origin.lower().startswith("https://") for origin in Headers(scope=scope).getlist("origin"))
