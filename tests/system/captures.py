"""The recorded answers of a real llama-server in tests/golden/llama-server, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "golden" / "llama-server"


def body(name: str) -> bytes:
    """The body of a capture: what follows the empty line behind the headers."""
    raw = (FOLDER / f"{name}.http").read_bytes().replace(b"\r\n", b"\n")
    return raw.partition(b"\n\n")[2]


def document(name: str) -> object:
    """The JSON of a capture."""
    decoded: object = json.loads(body(name))
    return decoded
