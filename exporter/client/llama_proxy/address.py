"""Where a sidecar is: the URLs of its API and of its Socket.IO, from what an application gave."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

LONGEST_NAME = 1000
"""Characters of a name in a path; the sidecar's own limit is below that."""


class Address:
    """Raises ValueError where `base_url` is not http://host[:port][/path][/api] or https://."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        is_plain = base_url.isascii() and base_url.isprintable() and " " not in base_url
        if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("base_url must look like http://127.0.0.1:9464/api")
        if "@" in parts.netloc:
            raise ValueError("base_url must hold no user name or password: httpx logs URLs")
        self.root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api')}"
        self.api = f"{self.root}/api"
        self.socket_io = f"{self.root}/socket.io/"


def segment(name: str) -> str:
    """A name as one segment of a path: slashes and colons in it are part of the name."""
    if not name or len(name) > LONGEST_NAME:
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    # httpx resolves dot segments, but not encoded ones.
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
