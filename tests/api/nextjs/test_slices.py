"""Long documents are written in slices, and are the same as those that are written in one go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from exporter.api.documents import encode
from exporter.api.nextjs.slices import SLICE, array, splice


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 3 * SLICE])
async def test_an_array_is_that_of_one_go(count: int) -> None:
    things = [f'"ä{number},' for number in range(count)]
    assert await array(things, lambda each: {"name": each}) == encode([{"name": each} for each in things])


async def test_others_have_their_turns_meanwhile() -> None:
    writing = asyncio.ensure_future(array(range(10 * SLICE), str))
    turns = 0
    while not writing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10


def test_what_is_written_takes_its_places() -> None:
    document: dict[str, Any] = {"count": 2, "models": [], "success": True, "data": [], "note": '"models":[]'}
    spliced = splice(document, {"models": b"[1,2]", "data": b"[1,2]"})
    assert json.loads(spliced) == {**document, "models": [1, 2], "data": [1, 2]}
    assert splice(document, {}) == encode(document)
