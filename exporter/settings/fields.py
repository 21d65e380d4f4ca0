"""What several sections share: their base, types of values, and how keys and addresses are checked."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

LOOPBACK_HOSTS = frozenset(("localhost", "127.0.0.1", "::1"))

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the settings: frozen, and nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def split_list(value: Any) -> Any:
    """A list may be written `a, b`, or as JSON, where only text can be given."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("starts like a JSON list, but is none") from None
    return tuple(part.strip() for part in value.split(",") if part.strip())


LISTED = (NoDecode, BeforeValidator(split_list))
"""Makes a setting of several values understand `a, b` and JSON; what to write behind its type in `Annotated`."""

Bounds = Annotated[tuple[float, ...], *LISTED]


def check_key(key: str) -> str:
    """The key, if it can be sent in a header field. Raises ValueError, which does not quote it."""
    if not key.strip():
        raise ValueError("a key must not be empty")
    if not key.isascii() or not key.isprintable():
        raise ValueError("a key must be printable ASCII text")
    return key


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` or `:PORT` (all interfaces) as host and port. Raises ValueError."""
    host, separator, port = address.rpartition(":")
    if not separator or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{address!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{address!r}: write an IPv6 address in brackets, [{host}]:{port}")
    return host or "0.0.0.0", int(port)


def check_address(address: str) -> str:
    """The address, if it is one. Raises ValueError."""
    split_address(address)
    return address


SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


def check_harmless_header(name: str) -> str:
    """The name of a header whose value may be shown to everybody. Raises ValueError for one that carries a secret."""
    if name.lower() in SECRET_HEADERS:
        raise ValueError(f"{name!r} carries a secret, which would be shown; name another header")
    return name


def check_origin(origin: str) -> str:
    """`*`, or an origin as browsers send it (RFC 6454, 6.2). Raises ValueError."""
    if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+", origin):
        raise ValueError(f"{origin!r} is not an origin; write https://host or http://host:port")
    return origin
