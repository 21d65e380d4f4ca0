"""The room's form of errors."""

from __future__ import annotations

from starlette.responses import Response

from exporter.api.documents import json_answer
from exporter.api.monitoring.documents import Failure


def refuse(status: int, message: str) -> Response:
    """Why not."""
    failure: Failure = {"error": message}
    return json_answer(failure, status)
