"""Reading the beginning of a JSON document whose rest never came, or was let go of. `answered` calls it."""

from __future__ import annotations

import re

from exporter.observe.documents import parse

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],]', re.DOTALL)
"""A text, or one sign; a quotation mark alone begins a text that has no end."""
_CHARACTERS = re.compile(r"[^\\]*(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^\\]*)*", re.DOTALL)
"""Of a text, up to an escape that is not whole."""
_CLOSING = {"{": "}", "[": "]"}


def parse_beginning(data: bytes) -> object:
    """What there is of the document, a text that was cut off included. Raises ValueError when that is nothing."""
    source = str(data, "utf-8", "ignore")
    longest, surest = _mend(source)
    try:
        return parse(longest.encode())
    except ValueError:
        return parse(surest.encode())


def _mend(source: str) -> tuple[str, str]:
    """Two tries to close what is open: behind the last character, and behind the last value that is surely whole."""
    open_until: list[str] = []
    end = sure = 0
    for token in _TOKEN.finditer(source):
        sign = token[0]
        if sign == '"':
            end = token.end()
            break
        if len(sign) > 1:
            continue
        if sign in _CLOSING:
            open_until.append(_CLOSING[sign])
        elif sign != "," and open_until:
            open_until.pop()
        sure = token.start() if sign == "," else token.end()
    rest = "".join(reversed(open_until))
    return _finish_text(source, end) + rest, source[:sure] + rest


def _finish_text(source: str, begun: int) -> str:
    """With the text that begins there, if any, ended."""
    characters = _CHARACTERS.match(source, begun) if begun else None
    return source if characters is None else source[: characters.end()] + '"'
