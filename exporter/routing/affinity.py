"""Which backend served a conversation last, and so has it in its prompt cache. `fleet` fills it, `choice` asks it."""

from __future__ import annotations

from collections import OrderedDict


class Affinity:
    """A bounded memory of (conversation, tier) to backend; the least recently used entries go first.

    Whether a backend that it names is still there, and well, is for the caller to see. Both methods take constant
    time; a full memory of the default size takes 2 MB.
    """

    __slots__ = ("_backends", "_limit")

    def __init__(self, limit: int = 8192) -> None:
        self._limit = limit
        # Not a dict: its first entry is found by walking over the places of those removed before it.
        self._backends: OrderedDict[tuple[int, str], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._backends)

    def remember(self, key: int, tier: str, backend_id: str) -> None:
        """The conversation was served by that backend."""
        entry = (key, tier)
        self._backends[entry] = backend_id
        self._backends.move_to_end(entry)
        if len(self._backends) > self._limit:
            self._backends.popitem(last=False)

    def find(self, key: int, tier: str) -> str | None:
        """The id of the backend that served the conversation last within the tier; None: not known, or forgotten."""
        entry = (key, tier)
        backend_id = self._backends.get(entry)
        if backend_id is not None:
            self._backends.move_to_end(entry)
        return backend_id
