"""Looks into model files, in threads: a folder may lie on a disk that does not answer. `models` owns it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from exporter.models.files.discovery import discover
from exporter.models.files.places import Places
from exporter.models.model import Discovered, File, Search, UnavailableError
from exporter.models.registration import Entry, look_into
from exporter.worker import Worker, outcome

FILES_SECONDS = 60.0


class Library:
    """The configured folders."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._searcher = Worker("models-search")
        self._reader = Worker("models-files")
        self._search: Future[Discovered] | None = None

    async def discover(self, search: Search, default_dir: str | None) -> Discovered:
        """See `Models.discover`. When nobody waits for it any more, it ends."""
        if self._search is not None and not self._search.done():
            raise UnavailableError("another search is under way")
        over = threading.Event()
        self._search = self._searcher.submit(
            partial(discover, self._places, search, default_dir, cancelled=over.is_set)
        )
        try:
            return await outcome(self._search)
        finally:
            over.set()

    async def look_into(self, entries: Sequence[Entry], at: str = "models.{}.") -> list[File | None]:
        """See `registration.look_into`. Raises UnavailableError where the files do not answer."""
        if not any(entry.said.get("path") for entry in entries):
            return [None] * len(entries)
        try:
            async with asyncio.timeout(FILES_SECONDS):
                return await outcome(self._reader.submit(lambda: look_into(self._places, entries, at)))
        except TimeoutError:
            raise UnavailableError("the files could not be read in time") from None
