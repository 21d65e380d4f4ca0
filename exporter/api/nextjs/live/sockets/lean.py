"""python-socketio and python-engineio, imported without what they would bring along for others: clients of message
brokers, of which Redis' brings OpenTelemetry. Everything here imports the two from this module."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

BROKERS = ("redis", "valkey")


@contextlib.contextmanager
def _as_if_absent(names: Sequence[str]) -> Iterator[None]:
    """Have the import of packages fail that nobody has imported yet: these are optional for whoever asks."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] # None is Python's own word for this
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _as_if_absent(BROKERS):
    import engineio.packet
    import engineio.payload
    import socketio
    import socketio.packet

__all__ = ["engineio", "socketio"]
