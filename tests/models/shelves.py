"""A shelf in memory, and two registered models that can lie on it."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.errors import StoreError
from exporter.models.model import Document, Registered

A = Registered(
    "org/a:Q4",
    path="/models/a.gguf",
    description="The first",
    family="llama",
    version="3",
    size_bytes=7,
    quantization="Q4_K_M",
    format="gguf",
    training_context_size=4096,
    options={"temperature": 0.5, "n_ctx": 2048},
    created_at=1e9,
    updated_at=2e9,
)
B = Registered("b", created_at=3e9, updated_at=3e9)


class Board:
    """A shelf in memory; `away` makes it fail."""

    def __init__(self, documents: Mapping[str, Document] | None = None) -> None:
        self.documents = dict(documents or {})
        self.away = False

    async def all(self) -> Mapping[str, Document]:
        self._check()
        return dict(self.documents)

    async def put(self, documents: Mapping[str, Document]) -> None:
        self._check()
        self.documents.update(documents)

    async def delete(self, name: str) -> None:
        self._check()
        self.documents.pop(name, None)

    def _check(self) -> None:
        if self.away:
            raise StoreError("disk I/O error")
