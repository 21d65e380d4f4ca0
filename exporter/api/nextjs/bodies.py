"""Reading the bodies of requests within bounds: how long one may be, how many long ones there are at once, and how many
values one may hold. The routes of this room read all theirs here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from pydantic_core import from_json
from starlette.requests import Request

from exporter.api.documents import read_body
from exporter.models.model import InvalidError, UnavailableError

LIMIT_BYTES = 10_000_000
SHORT_BYTES = 64 << 10
"""One is long when more of it has come: what a head says of it takes nobody's place."""
LONG_BODIES = 4
"""That many are held at once; who comes then is asked to come again."""
VALUES = 50_000
"""A million empty lists are short, and take a hundred times their room."""


class Bodies:
    """Reads JSON. What is raised becomes the answer."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._long = 0

    async def json(self, request: Request) -> Any:
        """What the body holds; an absent one is `{}`. Raises InvalidError, UnavailableError, and HTTPException as
        `read_body`."""
        with self._place() as grows:
            return parse(await read_body(request, self._limit_bytes, grows))

    async def leniently(self, request: Request) -> dict[str, Any]:
        """The object in the body; `{}` where it holds anything else. Raises as `json`."""
        found = await self.json(request)
        return found if isinstance(found, dict) else {}

    @contextlib.contextmanager
    def _place(self) -> Iterator[Callable[[int], None]]:
        """While a body is read: what takes its length so far, and a place as soon as it is long."""
        is_long = False

        def grows(length: int) -> None:
            nonlocal is_long
            if is_long or length <= SHORT_BYTES:
                return
            if self._long >= LONG_BODIES:
                raise UnavailableError("too many long bodies are being read; try again")
            self._long += 1
            is_long = True

        try:
            yield grows
        finally:
            self._long -= is_long


def parse(body: bytes) -> Any:
    """JSON as it is; `{}` for an empty body. Raises InvalidError."""
    if not body.strip():
        return {}
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES:
        raise InvalidError(f"the body holds more than {VALUES} values")
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidError("the body is not JSON", {"body": str(error)}) from None
