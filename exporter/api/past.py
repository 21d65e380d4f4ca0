"""How a room asks the store, and what it answers when it cannot: rooms that show the past use it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.room import Refuse
from exporter.errors import StoreError
from exporter.store.figures import Past

STORE_AWAY = "the store cannot be read now; the log of the sidecar says why"
"""What the database says may name hosts and users, which is nobody's business."""
NO_STORE = "history is off: store.url is none"
RETRY = {"retry-after": "5"}
RETRY_ABOUT = {"Retry-After": "Seconds, where it is worth a try again"}

AGAIN_SECONDS = 60.0
"""A reason that stays is logged so often: pages ask every few seconds."""

log = logging.getLogger(__name__)

Read = Callable[[Request, Past], Coroutine[Any, Any, Response]]


class BadQueryError(ValueError):
    """A parameter cannot be understood; the message, for the client, says which, and why."""


def guard(past: Past | None, refuse: Refuse, read: Read) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The handler: why not, where there is no store, none that answers, or no sense in what is asked for."""
    trouble = _Trouble()

    async def handle(request: Request) -> Response:
        if past is None:
            return refuse(503, NO_STORE)
        try:
            return await read(request, past)
        except BadQueryError as error:
            return refuse(400, str(error))
        except StoreError as error:
            trouble.tell(str(error))
            refusal = refuse(503, STORE_AWAY)
            refusal.headers.update(RETRY)
            return refusal

    return handle


class _Trouble:
    """Logs why the store cannot be read."""

    def __init__(self) -> None:
        self._said = ""
        self._said_at = -math.inf

    def tell(self, reason: str) -> None:
        """When it is another reason than before, or was said long ago."""
        now = time.monotonic()
        if reason != self._said or now - self._said_at >= AGAIN_SECONDS:
            self._said, self._said_at = reason, now
            log.warning("the store cannot be read", extra={"reason": reason})
