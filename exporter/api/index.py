"""`GET /` of the admin listener: a page of links for people who open it in a browser."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter.api.documents import NO_CACHE
from exporter.api.operation import Answer, Operation
from exporter.api.room import Room

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
LINKS = (
    ("/monitoring", "what is happening now, as a page"),
    ("/metrics", "metrics for Prometheus"),
    ("/api/docs", "every route of this listener, to read and to try"),
    ("/api/metrics", "the machine and the traffic"),
    ("/api/metrics/tiers", "speed, latency and errors of each tier"),
    ("/api/metrics/routing", "routing decisions and available models"),
    ("/api/models/status", "status and history of each model"),
    ("/api/models", "models that are registered or served, and what they are doing"),
    ("/api/health", "the health of everything that has to work"),
    ("/metrics/active-requests", "requests in flight"),
    ("/metrics/running-totals", "totals by provider and model, in YAML"),
    ("/completion_requests?limit=100", "the last requests that finished"),
    ("/-/ready", "readiness: the state of each upstream"),
    ("/-/healthy", "liveness"),
)


def room(version: str) -> Room:
    """The one route."""
    body = page(version)

    async def index(_: Request) -> Response:
        return HTMLResponse(body, headers={**NO_CACHE, "content-security-policy": POLICY})

    answers = {200: Answer("A page", str, media="text/html")}
    operation = Operation("GET", "/", index, "get_index", "Page of links", answers, "The starting point in a browser.")
    return Room("Index", "A page of links to the rest.", (operation,))


def page(version: str) -> str:
    """The page as HTML."""
    items = "".join(f'<li><a href="{path}">{path}</a> &ndash; {escape(text)}</li>' for path, text in LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>llama-exporter</title><style>:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;"
        "max-width:40rem;margin:3rem auto;padding:0 1rem}</style></head>"
        f"<body><h1>llama-exporter {escape(version)}</h1><ul>{items}</ul></body></html>"
    )
