"""What models are called here: never by the path of their file, and without the provider that a client may have put in
front. The shapes of this room use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from exporter.model_name import public_name

UNKNOWN = "unknown"
"""As metrics label a model that nobody named."""


class Name(NamedTuple):
    """The name of a model as a client may send it."""

    prefix: str
    """`provider:` as it was sent; empty when no provider was named."""
    model: str

    @property
    def whole(self) -> str:
        """Both."""
        return self.prefix + self.model


class Names:
    """Tells providers and models in a name apart. What is before a colon is a provider when one is configured under
    that name, in any case; else it is a part of the model's name (`llama3.1:8b`)."""

    def __init__(self, providers: Iterable[str]) -> None:
        self._providers = frozenset(provider.casefold() for provider in providers)

    def split(self, name: str) -> Name:
        """The two parts."""
        prefix, colon, model = name.partition(":")
        if model and prefix.casefold() in self._providers:
            return Name(prefix + colon, public_name(model))
        return Name("", public_name(name))
