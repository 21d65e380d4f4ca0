"""Which model a page means: the numbers that stand for names over `/llamaproxws`."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.api.nextjs.live.pages.documents import model_id
from exporter.models.model import Model, UnknownModelError
from exporter.models.models import Models

SHOWN_CHARACTERS = 200
"""Of a name that nobody knows."""


class ModelIds:
    """The names of all models by their numbers, as pages were told them; made anew when one is looked for that is not
    there, and models have changed since."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._names: Mapping[str, str] = {}
        self._is_old = True

    def change(self) -> None:
        """There may be other models."""
        self._is_old = True

    def learn(self, names: Mapping[str, str]) -> None:
        """Pages are told these."""
        self._names = names

    def find(self, given: str) -> Model:
        """By its number, or its name. Raises UnknownModelError."""
        if given not in self._names:
            try:
                return self._models.get(given)
            except UnknownModelError:
                self._renew()
        if given not in self._names:
            raise UnknownModelError(f"there is no model {given[:SHOWN_CHARACTERS]!r}")
        return self._models.get(self._names[given])

    def _renew(self) -> None:
        if self._is_old:
            self._names = {model_id(each.name): each.name for each in self._models.all()}
            self._is_old = False
