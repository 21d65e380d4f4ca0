"""How a room asks the store, and what it answers when it cannot: rooms that show the past use it."""

from __future__ import annotations

import logging
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

log = logging.getLogger(__name__)

Read = Callable[[Request, Past], Coroutine[Any, Any, Response]]


class BadQueryError(ValueError):
    """A parameter cannot be understood; the message, for the client, says which, and why."""


def guard(past: Past | None, refuse: Refuse, read: Read) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """The handler: why not, where there is no store, none that answers, or no sense in what is asked for."""

    async def handle(request: Request) -> Response:
        if past is None:
            return refuse(503, NO_STORE)
        try:
            return await read(request, past)
        except BadQueryError as error:
            return refuse(400, str(error))
        except StoreError as error:
            log.warning("the store cannot be read", extra={"reason": str(error)})
            refusal = refuse(503, STORE_AWAY)
            refusal.headers.update(RETRY)
            return refusal

    return handle
