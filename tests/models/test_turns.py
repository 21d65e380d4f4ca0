"""Long work that lets others in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from exporter.models import turns
from exporter.models.turns import bit_by_bit


async def note_turns(noted: list[str]) -> None:
    while True:
        noted.append("other")
        await asyncio.sleep(0)


@pytest.mark.parametrize(("slice_seconds", "others"), [(0.0, 3), (3600.0, 0)])
async def test_others_have_their_turn_when_a_slice_is_over(
    monkeypatch: pytest.MonkeyPatch, slice_seconds: float, others: int
) -> None:
    monkeypatch.setattr(turns, "SLICE_SECONDS", slice_seconds)
    noted: list[str] = []

    def work() -> Iterator[int]:
        for number in range(3):
            noted.append("work")
            yield number

    other = asyncio.ensure_future(note_turns(noted))
    assert await bit_by_bit(work()) == [0, 1, 2]
    other.cancel()
    assert noted.count("work") == 3
    assert noted.count("other") == others
