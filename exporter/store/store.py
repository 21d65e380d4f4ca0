"""A store with all its parts, as `app` runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from exporter.record import RequestRecord
from exporter.settings.store import StoreSettings
from exporter.store.database import Database
from exporter.store.documents import Documents
from exporter.store.figures import StoredTotals
from exporter.store.reader import Reader
from exporter.store.retention import Retention
from exporter.store.schema import MODELS, SETTINGS
from exporter.store.writer import Writer


class Store:
    """Nothing is opened before its work is begun."""

    def __init__(
        self,
        url: str,
        settings: StoreSettings,
        instance: str,
        *,
        model_of: Callable[[RequestRecord], str | None],
        on_open: Callable[[Sequence[StoredTotals]], None],
    ) -> None:
        """`instance` names this sidecar on every row. Raises StartupError when the database's driver is missing."""
        self._database = database = Database(url)
        self.writer = Writer(
            database,
            instance,
            model_of=model_of,
            queue_limit=settings.queue_records,
            auto_migrate=settings.auto_migrate,
            on_open=on_open,
            size_bytes=lambda: self.retention.size_bytes,
        )
        self.reader = Reader(database, lambda: self.writer.is_open, lambda: self.writer.trouble)
        self.retention = Retention(
            database, self.writer.worker, settings.keep_seconds, is_open=lambda: self.writer.is_open
        )
        documents = partial(
            Documents,
            database,
            instance=instance,
            reader=self.reader,
            worker=self.writer.worker,
            is_open=lambda: self.writer.is_open,
        )
        self.models, self.settings = documents(MODELS), documents(SETTINGS)

    @property
    def connections(self) -> int:
        """To the database, that are open now."""
        return self._database.connections

    @property
    def work(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What it does in the background, by name."""
        return {"store_writer": self.writer.run, "store_retention": self.retention.run}
