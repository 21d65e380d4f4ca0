"""The one change that the sidecar ever makes to a body: another `model`, where a router must be asked by its real name.

`forward` makes it when the chosen server knows the model by another name than the client used.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn


def with_model(body: bytes, model: str) -> bytes | None:
    """The JSON object in `body` with its member `model` set to `model`, every other byte as it was.

    Where the key stands several times, every one is set, so that it does not matter which one a parser believes; where
    there is none, it becomes the first member. A byte order mark stays, as llama-server's parser takes one. None when
    `body` is not a JSON object in UTF-8. Takes time in proportion to the body.
    """
    try:
        text = str(body, "utf-8")
        start, values = _find_values(text)
    except ValueError:
        return None
    name = json.dumps(model)
    if not values:
        values = [(start, start)]
        name = f'"model":{name}' + ("" if _END.match(text, start) else ",")
    pieces: list[str] = []
    at = 0
    for begin, end in values:
        pieces += (text[at:begin], name)
        at = end
    pieces.append(text[at:])
    return "".join(pieces).encode()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


# The scanner in C of `json` tells where a value ends faster than regular expressions, which take 200 bytes of memory
# for each string or bracket, or, where possessive, go wrong on Python 3.11.2. Numbers are not to be understood.
_decode = json.JSONDecoder(parse_int=float, parse_constant=_refuse).raw_decode

_START = re.compile("\ufeff?[ \t\n\r]*{")
_KEY = re.compile('[ \t\n\r]*(?=")')
_COLON = re.compile("[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile("[ \t\n\r]*,")
_END = re.compile(r"[ \t\n\r]*}[ \t\n\r]*\Z")
_TURN = re.compile(r'[^"\[\]{}]*("|[\[{]+|[\]}]+)')


def _find_values(text: str) -> tuple[int, list[tuple[int, int]]]:
    """Where the members of the object begin, and where each value of `model` begins and ends.

    Raises ValueError when the text is not an object.
    """
    start = _expect(_START, text, 0).end()
    values: list[tuple[int, int]] = []
    at = start
    more = _END.match(text, at) is None
    while more:
        key, at = _decode(text, _expect(_KEY, text, at).end())
        begin = _expect(_COLON, text, at).end()
        end = _end_of_value(text, begin)
        if key == "model":
            values.append((begin, end))
        comma = _COMMA.match(text, end)
        more = comma is not None
        at = (comma or _expect(_END, text, end)).end()
    return start, values


def _end_of_value(text: str, at: int) -> int:
    try:
        return _decode(text, at)[1]
    except RecursionError:
        return _end_of_deep_value(text, at)


def _end_of_deep_value(text: str, at: int) -> int:
    """Of a list or object of any depth; that its strings are such and its brackets balanced is all that is checked."""
    depth = 0
    while True:
        turn = _expect(_TURN, text, at)
        found, at = turn[1], turn.end()
        if found == '"':
            at = _decode(text, at - 1)[1]
        elif found[0] in "[{":
            depth += len(found)
        elif len(found) < depth:
            depth -= len(found)
        else:
            return turn.start(1) + depth


def _expect(pattern: re.Pattern[str], text: str, at: int) -> re.Match[str]:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"not JSON at character {at}")
    return match
