"""Where documents are kept from one run to the next: what the room needs of a store. `store.documents` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from exporter.models.model import Document


class Shelf(Protocol):
    """Documents by name. Every call raises StoreError when the store is away, or not open yet; then nothing has
    changed."""

    async def all(self) -> Mapping[str, Document]:
        """Everything, by name, in the order in which it was first put there."""
        ...

    async def put(self, documents: Mapping[str, Document]) -> None:
        """Keep these, instead of those of the same name: all of them or, raising, none."""
        ...

    async def delete(self, name: str) -> None:
        """Keep it no longer; harmless where there is none."""
        ...
