"""The preset file (INI) that tells llama-server's router of the registered models: what may stand in it, its text, and
the file itself. `sections` makes sections of it, `keeper` the text, `file` reads and writes the file;
`registration` and `registry` ask which names and paths can stand in it.

llama-server's INI cannot quote: `;` and `#` begin a comment wherever they stand, and for one line that it does not
understand it refuses the whole file. So what would have to be quoted is refused here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from exporter.models.model import FailedError, InvalidError, Options, Value
from exporter.models.parameters.parameters import PARAMETERS, check
from exporter.whole_file import replacing

Section = Mapping[str, str]
"""What a model is loaded with: llama-server's options by their long names (`model`, `ctx-size`)."""
MARK = "; Written by llama-exporter"
"""How the file begins; by this it is known as one of ours. Behind it stands which of us has written it."""
HEADER = f"{MARK}, and written anew whenever a model or a parameter changes: edits are lost.\n"
"""Of whoever has no name."""
WRITER = re.compile(rf'{re.escape(MARK)} ("(?:[^"\\\n]|\\.)*"),')
LONGEST_NAME = 200
LONGEST_PATH = 4096
LARGEST_BYTES = 64 * 1024 * 1024
RESERVED = frozenset({"*", "default", "status", "discover"})
"""The preset file has its own meaning for two of them, the addresses of the API for the others."""
DEEDS = frozenset({"load", "unload", "start", "stop", "analyze"})
"""At the end of an address of the API, what is to be done with the model before it."""
TAG = re.compile("[A-Z0-9_]*")
"""Behind a colon. The router makes `LATEST` of `latest`, and `Q4_K_XL` of `UD-Q4_K_XL`; it would be another model."""
COMMENT = re.compile("[;#]")
KEY = re.compile("[a-z][a-z0-9-]*")


def check_name(name: str) -> str:
    """The name, where a model can have it. Raises InvalidError (field `name`) that says why it cannot."""
    reason = _fault(name, LONGEST_NAME)
    if reason is None and name in RESERVED:
        reason = "means something else"
    if reason is None and re.search(r"[\[\]]", name):
        reason = "must have no brackets, [ or ]"
    if reason is None and "/" in name and name.rpartition("/")[2] in DEEDS:
        reason = f"must not end with a part that is one of {', '.join(sorted(DEEDS))}"
    if reason is None and {"", ".", ".."} & set(name.split("/")):
        reason = "must not begin or end with a slash, nor have a part that is empty, . or .."
    if reason is None and not TAG.fullmatch(name.rpartition(":")[2] if ":" in name else ""):
        reason = "must have only capital letters, digits and _ after its last colon: llama-server changes others"
    return _passed("name", name, reason)


def check_path(path: str) -> str:
    """The path of a model's file, where it can be written down. Raises InvalidError (field `path`) that says why it
    cannot."""
    reason = _fault(path, LONGEST_PATH)
    return _passed("path", path, reason or (None if os.path.isabs(path) else "must be absolute"))


def section(path: str | None, options: Options) -> dict[str, str]:
    """The section of a model. Raises InvalidError for a path or options that are not as they must be."""
    checked = check(options)
    values = {each.option: _text(checked[each.name]) for each in PARAMETERS if each.name in checked}
    return values if path is None else {"model": check_path(path), **values}


def render(sections: Mapping[str, Section], owner: str = "") -> str:
    """The text of the file, with a section for each model by its name; equal sections give equal text. `owner` is who
    alone may write it from now on.

    Raises InvalidError for what llama-server would take for something else.
    """
    header = HEADER.replace(MARK, f"{MARK} {json.dumps(owner)}") if owner else HEADER
    return "\n".join([header, *(_section_text(name, sections[name]) for name in sorted(sections))])


def writer(text: str) -> str | None:
    """The owner that `render` was given for this text; empty where none was, or it says nothing at all. None for what
    others have written: that must not be lost."""
    if not text.startswith(MARK):
        return None if text.strip() else ""
    found = WRITER.match(text)
    try:
        return str(json.loads(found[1])) if found else ""
    except ValueError:
        return ""


def parse(text: str) -> dict[str, dict[str, str]] | None:
    """The sections of a text that `render` has written; None where it is not ours, or broken."""
    sections = dict[str, dict[str, str]]()
    if not text.startswith(MARK):
        return None
    for line in text.split("\n"):
        if not line or COMMENT.match(line):
            continue
        name, key, value = _parts(line)
        if name is not None and name not in sections:
            sections[name] = {}
        elif key is not None and sections:
            next(reversed(sections.values()))[key] = value
        else:
            return None
    return sections


def write(path: Path, text: str) -> None:
    """Replace the file, whole or not at all; its folder is made where there is none. A new one is our user's alone,
    one that was there keeps its rights, and a link stays a link. Blocks. Raises FailedError."""
    try:
        path = path.resolve()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(text.encode())
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links that lead to each other
        raise FailedError(f"{path} cannot be written ({_reason(error)})") from None


def read(path: Path) -> str | None:
    """What is in the file; None where there is none. Blocks. Raises FailedError when it cannot be read, or is no
    text."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ValueError("too large")
        return content.decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise FailedError(f"{path} cannot be read ({_reason(error)})") from None


def _fault(text: str, longest: int) -> str | None:
    """Why this can stand neither in a value nor in a name."""
    if not text or len(text) > longest:
        return f"must have 1 to {longest} characters"
    if not text.isprintable():
        return "must have printable characters only"
    if text != text.strip():
        return "must not begin or end with a blank"
    return "must have no ; or #, where llama-server's file has comments" if COMMENT.search(text) else None


def _passed(field: str, text: str, reason: str | None) -> str:
    if reason is not None:
        raise InvalidError(f"the {field} {reason}", {field: reason})
    return text


def _text(value: Value) -> str:
    """As llama-server reads it: it knows true and false in small letters, and no exponents are needed."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _section_text(name: str, values: Section) -> str:
    """`model` first, then the others by name."""
    lines = [f"[{check_name(name)}]"]
    for key in sorted(values, key=lambda key: (key != "model", key)):
        if not KEY.fullmatch(key):
            raise InvalidError(f"{key!r} is not an option of llama-server")
        lines.append(f"{key} = {_passed(key, values[key], _fault(values[key], LONGEST_PATH))}")
    return "\n".join(lines) + "\n"


def _parts(line: str) -> tuple[str | None, str | None, str]:
    """The name of a section, or a key and its value; nothing of a line that `render` would not write."""
    head = re.fullmatch(r"\[([^\[\]]+)\]", line)
    if head:
        return (None if _fault(head[1], LONGEST_NAME) else head[1]), None, ""
    entry = re.fullmatch(rf"({KEY.pattern}) = (.+)", line)
    if entry is None or _fault(entry[2], LONGEST_PATH):
        return None, None, ""
    return None, entry[1], entry[2]


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is no text"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
