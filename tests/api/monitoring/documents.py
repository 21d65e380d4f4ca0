"""Documents of the room as clients read them: JSON, of the type that is described, without a number that is none."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from exporter.api.documents import encode


def read(kind: Any, document: Any) -> Any:
    """Fails where the document is not of that type."""
    return read_bytes(kind, encode(document))


def read_bytes(kind: Any, written: bytes) -> Any:
    """The same of what was answered."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_json(written, strict=True)
    return json.loads(written)
