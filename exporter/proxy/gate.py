"""Who may pass: keys and limits at the proxy's door, checked before anything of a request is read."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.keys import CHALLENGE, CREDENTIAL_FIELDS, KEY_WANTED, KeyRing
from exporter.proxy.headers import Headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that the sidecar gives itself, in the form of an OpenAI error."""

    status: int
    type: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Gate:
    """Admits or refuses a request by its head alone."""

    def __init__(self, keys: KeyRing, max_in_flight: int | None) -> None:
        self._keys = keys
        self._max_in_flight = max_in_flight

    def check(self, method: str, headers: Headers, in_flight: int) -> Refusal | None:
        """Why the request is refused, or None. `in_flight` counts the requests being served, this one left out."""
        # A browser's preflight cannot carry a key; llama-server answers it before it asks for one, too.
        if method != "OPTIONS" and not self._keys.admits(headers):
            return Refusal(
                401,
                "authentication_error",
                KEY_WANTED,
                ((b"www-authenticate", CHALLENGE.encode()),),
            )
        if self._max_in_flight is not None and in_flight >= self._max_in_flight:
            return Refusal(
                503,
                "overloaded_error",
                f"the sidecar serves {self._max_in_flight} requests already, which is its limit; try again soon",
                ((b"retry-after", b"1"),),
            )
        return None

    def outgoing(self, headers: Headers, api_key: str | None) -> Headers:
        """The fields to send upstream: our own keys never leave; the upstream's key is added where no credential is
        left."""
        if self._keys:
            headers = [
                field for field in headers if field[0] not in CREDENTIAL_FIELDS or not self._keys.admits((field,))
            ]
        if api_key is not None and not any(name in CREDENTIAL_FIELDS for name, _ in headers):
            headers = [*headers, (b"authorization", b"Bearer " + api_key.encode())]
        return headers
