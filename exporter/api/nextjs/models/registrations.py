"""What a request to register models says, read in slices, so that streams flow meanwhile. `routes` calls it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Container, Mapping
from typing import Any

from exporter.api.nextjs.asked import INFORMATIVE, MOST_MODELS, WRONG, Changes, Entries, Entry, read
from exporter.api.nextjs.mistakes import MISTAKES
from exporter.models.model import InvalidError

SLICE = 20
"""Models that are read in one go."""
NUMBER = re.compile(r"^models\.(\d+)")


async def read_entries(body: Any) -> tuple[list[dict[str, Any]], bool]:
    """The models to register, and whether it is one without a list around it. Raises InvalidError that names what is of
    the wrong type; values are for `Models.register` to look at."""
    if not isinstance(body, dict):
        raise InvalidError(WRONG, {"body": "must be an object"})
    if "models" not in body and "name" in body:
        known = {field for field in body if field in Entry.model_fields or field == "options"}
        return [as_registered(read(Entry, {field: body[field] for field in known}))], True
    models = body.get("models")
    if not isinstance(models, list) or not models:
        read(Entries, body)
    if not isinstance(models, list) or len(models) > MOST_MODELS:
        raise InvalidError(WRONG, {"models": f"must have at most {MOST_MODELS} of them; send the others afterwards"})
    entries: list[dict[str, Any]] = []

    def take(first: int, last: int) -> None:
        part = [without(entry, INFORMATIVE) for entry in models[first:last]]
        around = body if first == 0 else {}
        entries.extend(map(as_registered, read(Entries, {**around, "models": part}).models))

    await _each(SLICE, len(models), take)
    return entries, False


def as_registered(asked: Entry | Changes) -> dict[str, Any]:
    """As `Models` takes it. A text that is null is one that is not known."""
    said = asked.model_dump(exclude_unset=True)
    if "parameters" in said:
        said["options"] = said.pop("parameters") or {}
    if "description" in said:
        said["description"] = said["description"] or ""
    return said


def without(body: Any, keys: Container[str]) -> Any:
    """An object without some of its keys; anything else as it is."""
    return {key: value for key, value in body.items() if key not in keys} if isinstance(body, dict) else body


async def _each(size: int, count: int, take: Callable[[int, int], None]) -> None:
    """Slice by slice; what is wrong with any is raised in the end."""
    wrong: dict[str, str] = {}
    for first in range(0, count, size):
        try:
            take(first, first + size)
        except InvalidError as error:
            wrong |= _renumbered(error.fields, first)
        if len(wrong) >= MISTAKES:
            break
        await asyncio.sleep(0)
    if wrong:
        raise InvalidError(WRONG, dict(list(wrong.items())[:MISTAKES]))


def _renumbered(fields: Mapping[str, str], first: int) -> dict[str, str]:
    """As they are numbered in the whole."""
    return {NUMBER.sub(lambda at: f"models.{int(at[1]) + first}", name): reason for name, reason in fields.items()}
