"""The examples of a page of documentation, and whether an answer has the form of the documented one.

An example is a block ```` ```sh ```` with one `curl` command, and below it the block with an answer: ```` ```json ````,
```` ```yaml ````, or ```` ```text ```` for what need only succeed. Blocks ```` ```console ```` are not run.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ADMIN, PROXY = "http://127.0.0.1:9464", "http://127.0.0.1:8001"
"""The addresses that examples ask, and that the runner replaces."""
FORMS = ("json", "yaml", "text")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)?")


class Block(NamedTuple):
    """One fenced block."""

    line: int
    language: str
    text: str


class Example(NamedTuple):
    """A command and the answer that is shown for it."""

    page: str
    line: int
    command: str
    form: str
    """Language of the block below; anything but `FORMS` is a mistake in the page."""
    answer: str


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page. Raises ValueError for one that does not end."""
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif opened is None:
            opened, lines = (number, line.removeprefix("```").strip()), []
        else:
            yield Block(*opened, "\n".join(lines))
            opened = None
    if opened is not None:
        raise ValueError(f"the block at line {opened[0]} does not end")


def examples(page: Path) -> list[Example]:
    """Every command of the page, with the block that follows it."""
    found = [*blocks(page.read_text(encoding="utf-8")), Block(0, "", "")]
    return [
        Example(page.name, block.line, block.text, after.language, after.text)
        for block, after in pairwise(found)
        if block.language == "sh"
    ]


def arguments(command: str) -> list[str]:
    """The command as words. Raises ValueError where it is not one plain `curl` that asks the sidecar."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    if words[:1] != ["curl"] or words.count("curl") > 1:
        raise ValueError("a block `sh` holds one curl command; what is not to be run is a block `console`")
    if any(set(word) <= set("();<>|&\n") for word in words) or "$" in command:
        raise ValueError("the command needs a shell: quote it, or leave pipes, redirections and variables out")
    if not any(word.startswith((ADMIN, PROXY)) for word in words):
        raise ValueError(f"the command must ask {ADMIN} or {PROXY}")
    return words


def is_bounded(words: list[str]) -> bool:
    """Whether the command says itself when it ends, as one must that reads a stream without an end."""
    return any(word in ("-m", "--max-time") for word in words)


def read(form: str, text: str) -> Any:
    """A document as data. Raises ValueError where it is none."""
    try:
        return json.loads(text) if form == "json" else yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def differences(documented: Any, answered: Any, at: str = "") -> list[str]:
    """Where the answer does not have the documented form: keys and types, of lists those of the first element."""
    at = at or "the document"
    if kind(documented) != kind(answered):
        return [f"{at} is {kind(answered)}, documented is {kind(documented)}"]
    if isinstance(documented, dict):
        found = [f"{at}: {key} is documented, and missing" for key in documented.keys() - answered.keys()]
        found += [f"{at}: {key} is not documented" for key in answered.keys() - documented.keys()]
        for key in documented.keys() & answered.keys():
            found += differences(documented[key], answered[key], f"{at}.{key}")
        return sorted(found)
    if isinstance(documented, list) and documented:
        return differences(documented[0], answered[0], f"{at}[0]") if answered else [f"{at} is empty"]
    return []


def kind(value: Any) -> str:
    """What sort of value it is: numbers are one sort, and so are times with equal precision."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str) and (time := TIME.fullmatch(value)):
        return f"a time with {len(time['fraction'] or '')} digits and zone {time['zone'] or 'unsaid'}"
    return {dict: "an object", list: "a list", str: "text", type(None): "null"}.get(type(value), type(value).__name__)
