"""The models that people have registered: in memory, and on a shelf where there is one. `models` owns it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import fields

from exporter.errors import StoreError
from exporter.models import parameters, preset
from exporter.models.model import ConflictError, Document, FailedError, ModelsError, Registered, UnavailableError
from exporter.models.shelf import Shelf
from exporter.system.documents import mapping, size, text

log = logging.getLogger(__name__)

LIMIT = 10_000
FIELDS = tuple(field.name for field in fields(Registered) if field.name not in ("name", "options"))


class Registry:
    """Registered models by name, in the order of registration."""

    def __init__(self, shelf: Shelf | None) -> None:
        """Without a shelf nothing outlives the process."""
        self.models: Mapping[str, Registered] = {}
        """Replaced with every change."""
        self._shelf = shelf
        self._restored = shelf is None

    def __contains__(self, name: object) -> bool:
        return name in self.models

    async def restore(self) -> None:
        """Take up what an earlier run has kept. Raises StoreError, as long as the store is not open."""
        if self._shelf is not None:
            documents = await self._shelf.all()
            found = (read(name, document) for name, document in documents.items())
            self.models = {each.name: each for each in found if each is not None}
        self._restored = True

    async def put(self, models: Iterable[Registered]) -> None:
        """Keep these, instead of those of the same name; all or none. Raises FailedError, ConflictError where there
        would be too many, UnavailableError as long as nothing is restored."""
        self.check_open()
        new = {each.name: each for each in models}
        together = {**self.models, **new}
        if len(together) > max(LIMIT, len(self.models)):
            raise ConflictError(f"no more than {LIMIT} models can be registered")
        if self._shelf is not None:
            try:
                await self._shelf.put({name: write(each) for name, each in new.items()})
            except StoreError as error:
                raise FailedError(f"the models could not be saved: {error}") from None
        self.models = together

    async def delete(self, name: str) -> None:
        """Keep a model no longer; harmless where there is none. Raises FailedError, UnavailableError."""
        self.check_open()
        if self._shelf is not None:
            try:
                await self._shelf.delete(name)
            except StoreError as error:
                raise FailedError(f"the model could not be removed from the store: {error}") from None
        self.models = {other: each for other, each in self.models.items() if other != name}

    async def undo(self, before: Mapping[str, Registered]) -> None:
        """Back to what it was before one change. A store that fails now is told of in the log alone."""
        changed = [each for name, each in before.items() if self.models.get(name) is not each]
        try:
            for name in [name for name in self.models if name not in before]:
                await self.delete(name)
            if changed:
                await self.put(changed)
        except ModelsError as error:
            log.warning("a change of the models could not be taken back in the store", extra={"reason": str(error)})
        self.models = before

    def check_open(self) -> None:
        """Raises UnavailableError as long as it is not known what an earlier run has kept."""
        if not self._restored:
            raise UnavailableError("the store is not open yet")


def write(model: Registered) -> Document:
    """The model as a document for the shelf, under its name."""
    said = ((field, getattr(model, field)) for field in FIELDS)
    return {field: value for field, value in said if value not in (None, "")} | {"options": dict(model.options)}


def read(name: str, document: Document) -> Registered | None:
    """What another version of us has written, as far as it can be used; None where that is nothing."""
    path = text(document.get("path"))
    try:
        preset.check_name(name)
        if path is not None:
            preset.check_path(path)
    except ModelsError as error:
        log.warning("a registered model is left out", extra={"model": name, "reason": str(error)})
        return None
    return Registered(
        name=name,
        path=path,
        description=text(document.get("description")) or "",
        family=text(document.get("family")),
        version=text(document.get("version")),
        size_bytes=size(document.get("size_bytes")),
        quantization=text(document.get("quantization")),
        format=text(document.get("format")),
        training_context_size=size(document.get("training_context_size")),
        options=parameters.known(mapping(document.get("options"))),
        created_at=_time(document.get("created_at")),
        updated_at=_time(document.get("updated_at")),
    )


def _time(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else 0.0
