"""Captured answers of the original, and what of them is its server's rather than its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

GOLDEN = Path(__file__).parents[2] / "golden" / "vandamme"
NOT_OURS = {"date", "server", "content-length", "connection", "transfer-encoding"}
"""Header fields of the server, not of the application."""
CORS = {"access-control-allow-origin", "access-control-allow-headers"}
"""Here, only answers to other origins have them."""


@dataclass(frozen=True, slots=True)
class Capture:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: str


def capture(name: str) -> Capture:
    head, _, body = (GOLDEN / name).read_bytes().decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    return Capture(int(first.split()[1]), headers, body)


def headers_of(name: str, added: Mapping[str, str] = {}) -> dict[str, str]:
    """What the header of an answer must be, with what we add on purpose."""
    captured = {key: value for key, value in capture(name).headers.items() if key not in NOT_OURS | CORS}
    return {**captured, **added}


def own_headers(answer: httpx.Response) -> dict[str, str]:
    return {key: value for key, value in answer.headers.items() if key not in NOT_OURS}


def replace_all(text: str, replacements: Mapping[str, str]) -> str:
    """A text with differences, each of which must be one."""
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    return text


def generated_at(text: str) -> float:
    """When a report was made."""
    match = re.search(r"# Generated: (\S+)", text)
    assert match
    return datetime.fromisoformat(match[1]).timestamp()
