"""API keys: kept as digests, compared in constant time, understood in the two forms that clients send them in; and what
the cookies are called that stand for one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields, names in lower case."""


CREDENTIAL_FIELDS = frozenset((b"authorization", b"x-api-key"))
"""Header fields that carry credentials."""

SESSION_COOKIE = "llama_exporter_"
SECURE_SESSION_COOKIE = f"__Host-{SESSION_COOKIE}"
"""How the names of our sessions' cookies begin. Those of the second are from TLS: browsers take such a name from nobody
else (RFC 6265bis, 4.1.3.2)."""


KEY_WANTED = "a valid API key is required, as `Authorization: Bearer KEY` or `x-api-key: KEY`"
CHALLENGE = 'Bearer realm="llama-exporter"'
"""Value of `WWW-Authenticate` in a 401 (RFC 9110, 11.6.1)."""


class KeyRing:
    """The accepted keys; false when there are none, which means open."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key.strip().encode()) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accepts(self, credential: bytes) -> bool:
        """Whether the credential is one of the keys. Looks at all of them, whichever matches."""
        digest = _digest(credential)
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found

    def admits(self, headers: Fields) -> bool:
        """Whether the request may pass: no keys are configured, or it presents one of them."""
        return not self._digests or any(self.accepts(credential) for credential in credentials(headers))


def credentials(headers: Fields) -> list[bytes]:
    """Keys that a request presents as `x-api-key` or `Authorization: Bearer`; the scheme's case is free (RFC 9110,
    11.1)."""
    found = []
    for name, value in headers:
        if name == b"x-api-key":
            found.append(value.strip())
        elif name == b"authorization":
            scheme, _, token = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                found.append(token.strip())
    return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
