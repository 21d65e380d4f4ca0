"""The demo's engines, one per tier: started together, stopped together, and one of them killed and brought back while
the others go on. `run` owns one; `outage` kills and brings back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import cached_model
from exporter.errors import StartupError


@dataclass(frozen=True, slots=True)
class Size:
    """The shape of a tier's model."""

    tier: str
    layers: int
    embedding: int

    @property
    def alias(self) -> str:
        """The name of the model."""
        return f"tiny-{self.tier.lower()}"


SIZES = (Size("Q2", 2, 128), Size("Q3", 4, 192), Size("Q4", 6, 256))
"""Decoding at some 9,000, 3,000 and 1,000 tokens/s on a core of their own; a real model that knows more is slower, too.
The last would do 1,700 without drafts: in models as small as these they cost more than they save.
"""


def engines_of(sizes: tuple[Size, ...], cache_dir: Path, *, parallel: int) -> Engines:
    """The engines of these sizes, from cheap to capable, not yet started, with so many slots each. The most capable
    has the model of the cheapest as its draft model. Raises StartupError.
    """
    models = {size: cached_model(cache_dir, layers=size.layers, embedding=size.embedding) for size in sizes}
    drafts = {sizes[-1]: models[sizes[0]]} if len(sizes) > 1 else {}
    return Engines(
        {
            size.tier: EngineOptions(model=model, draft=drafts.get(size), alias=size.alias, parallel=parallel)
            for size, model in models.items()
        }
    )


class Engines:
    """Running engines: `async with Engines({"Q2": EngineOptions(...), ...}) as engines: engines.urls`."""

    def __init__(self, options: Mapping[str, EngineOptions]) -> None:
        """`options` by tier, from cheap to capable."""
        self._engines = {tier: Engine(each) for tier, each in options.items()}
        self._away: set[str] = set()

    @property
    def urls(self) -> dict[str, str]:
        """By tier; an engine keeps its own while it is away."""
        return {tier: engine.url for tier, engine in self._engines.items()}

    @property
    def models(self) -> dict[str, str]:
        """The names of the models by tier."""
        return {tier: engine.options.alias for tier, engine in self._engines.items()}

    def check(self) -> None:
        """Raise StartupError when an engine has died that was not killed."""
        for tier, engine in self._engines.items():
            if tier not in self._away and not engine.running:
                raise StartupError(f"the {engine.name} of {tier} died: {engine.last_words()}")

    async def kill(self, tier: str) -> None:
        """End an engine as a crash would, in the middle of what it does."""
        self._away.add(tier)
        await asyncio.to_thread(self._engines[tier].kill)

    async def bring_back(self, tier: str) -> None:
        """Start a killed engine again, on the port that it had. Raises StartupError, for one when the port is taken."""
        gone = self._engines[tier]
        back = Engine(replace(gone.options, port=urlsplit(gone.url).port or 0))
        await back.launch()
        self._engines[tier] = back
        self._away.discard(tier)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        """All at once. When one does not start the others are waited for, so that they can be stopped."""
        launches = [engine.launch() for engine in self._engines.values()]
        for failure in await asyncio.gather(*launches, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _stop(self) -> None:
        await asyncio.gather(*(asyncio.to_thread(engine.stop) for engine in self._engines.values()))
