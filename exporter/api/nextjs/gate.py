"""What stands before every route of the contract: the rate limit, and what all answers have in their heads."""

from __future__ import annotations

from exporter.api.nextjs.answers import Refusal, note_verdict, stamp
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.asgi import ASGIApp, Message, Receive, Scope, Send

COUNTED = "/api/"
TOO_MANY = "too many requests from this address: {limit} a minute are allowed; try again in {seconds} s"


class Gate:
    """Counts requests, and marks answers. It also counts those that ask for what there is not, but not what comes over
    Socket.IO."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit

    async def __call__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have `app` answer, or refuse."""
        if not scope["path"].startswith(COUNTED):
            await app(scope, receive, send)
            return
        client = scope.get("client")
        verdict = await self._limit.hit(client[0] if client else "")
        if verdict is not None:
            note_verdict(scope, verdict)
            if not verdict.admitted:
                message = TOO_MANY.format(limit=verdict.limit, seconds=verdict.seconds)
                refusal = Refusal(429, message, headers={"Retry-After": str(verdict.seconds)})
                await refusal(scope, receive, send)
                return
        await app(scope, receive, _stamping(scope, send))


def _stamping(scope: Scope, send: Send) -> Send:
    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            ours = ((name.lower().encode("ascii"), value.encode("ascii")) for name, value in stamp(scope).items())
            message["headers"] = [*message["headers"], *(field for field in ours if field[0] not in there)]
        await send(message)

    return send_on
