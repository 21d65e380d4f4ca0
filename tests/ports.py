"""Ports for servers that must be told theirs before they start. The fixture `find_port` and the stage of the first day
(`tests/end_to_end/stage.py`) take them from here."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

CHOICE = range(15_000, 32_768)
"""Below those that Linux gives to whoever asks for any port, clients included: none of them is taken before the server
has started."""


def free_ports() -> Iterator[int]:
    """Ports of 127.0.0.1 that nobody uses; another one each time."""
    given, choose = set[int](), random.SystemRandom().choice
    while True:
        port = choose(CHOICE)
        if port not in given and _is_free(port):
            given.add(port)
            yield port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
