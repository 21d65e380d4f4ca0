"""What the names of model files say: which part of a split model a file is, what a model is called, whether it is one.
Pure; `discovery` asks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from exporter.models.model import InvalidError
from exporter.models.preset.preset import LONGEST_NAME, check_name

ENDING = re.compile(r"\.(?:gguf|bin)$", re.IGNORECASE)
PART = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<ending>\.(?i:gguf))")
"""llama.cpp's way of naming the parts of a split model."""
PROJECTOR = re.compile(r"(?<![a-z0-9])mmproj(?![a-z0-9])", re.IGNORECASE)
FORBIDDEN = re.compile(r"[\[\];#:]")
"""In names of models, or (the colon) with a meaning of its own for llama-server."""


class Part(NamedTuple):
    """Of a split model."""

    stem: str
    number: int
    """From 1."""
    parts: int
    """How many there are."""
    ending: str

    def sibling(self, number: int) -> str:
        """The name of another part of it."""
        return f"{self.stem}-{number:05}-of-{self.parts:05}{self.ending}"


def part_of(name: str) -> Part | None:
    """None where the name does not say that the file is a part."""
    found = PART.fullmatch(name)
    return Part(found["stem"], int(found["number"]), int(found["count"]), found["ending"]) if found else None


def is_projector(name: str) -> bool:
    """Whether it is no model, but what lets a model see or hear (`mmproj-F16.gguf`)."""
    return PROJECTOR.search(name) is not None


def stem_of(name: str) -> str:
    """Without its ending and part number."""
    part = part_of(name)
    return part.stem if part else ENDING.sub("", name)


def propose(paths: Sequence[PurePath]) -> list[str]:
    """A name for each: of its file, with as many folders before it as it takes to tell it from the others."""
    depths = dict.fromkeys(range(len(paths)), 0)
    while True:
        groups: Mapping[str, list[int]] = defaultdict(list)
        for index, depth in depths.items():
            groups[_name(paths[index], depth)].append(index)
        alike = [index for group in groups.values() if len(group) > 1 for index in group]
        deeper = [index for index in alike if depths[index] < len(paths[index].parts) - 1]
        if not deeper:
            return _numbered(groups, len(paths))
        for index in deeper:
            depths[index] += 1


def _name(path: PurePath, depth: int) -> str:
    *folders, name = path.parts
    words = "/".join([*folders[len(folders) - depth :], stem_of(name)])
    proposed = FORBIDDEN.sub("_", words)[-LONGEST_NAME:].strip(" /")
    try:
        return check_name(proposed)
    except InvalidError:
        return "model"


def _numbered(groups: Mapping[str, list[int]], count: int) -> list[str]:
    """What folders cannot tell apart (`a.gguf`, `a.GGUF`), numbers can."""
    names = [""] * count
    taken = set(groups)
    last: dict[str, int] = defaultdict(lambda: 1)
    for name, (first, *others) in groups.items():
        names[first] = name
        begin = name[: LONGEST_NAME - 8]
        for index in others:
            while not names[index] or names[index] in taken:
                last[begin] += 1
                names[index] = f"{begin}-{last[begin]}"
    return names
