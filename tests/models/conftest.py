"""What most tests of models begin with: two model files, and a fake router that knows a third model by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.models.fake_router import FakeRouter
from tests.models.house import House, behind


@pytest.fixture
async def fake() -> AsyncIterator[FakeRouter]:
    async with FakeRouter({"known": {"value": "unloaded"}}).run() as fake:
        yield fake


@pytest.fixture
def house(fake: FakeRouter, tmp_path: Path) -> House:
    return behind(fake, tmp_path)
