"""`GET /` of the admin listener: a page of links for people who open it in a browser."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter.api.operation import Answer, Operation
from exporter.api.room import Room

LINKS = (
    ("/metrics", "metrics for Prometheus"),
    ("/api/docs", "all that this listener answers, to read and to try"),
    ("/api/metrics", "the machine and the traffic"),
    ("/api/metrics/tiers", "how each tier does"),
    ("/api/metrics/routing", "what routing decides"),
    ("/api/models/status", "how each model does"),
    ("/metrics/active-requests", "who is being served"),
    ("/metrics/running-totals", "sums by provider and model, in YAML"),
    ("/-/ready", "which upstreams answer"),
    ("/-/healthy", "whether this process serves"),
)


def room(version: str) -> Room:
    """The one route."""
    body = page(version)

    async def index(_: Request) -> Response:
        return HTMLResponse(body, headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"})

    answers = {200: Answer("Links", str, media="text/html")}
    return Room("Index", "A page of links.", (Operation("GET", "/", index, "get_index", "A page of links", answers),))


def page(version: str) -> str:
    """The page as HTML."""
    items = "".join(f'<li><a href="{path}">{path}</a> &ndash; {escape(text)}</li>' for path, text in LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>llama-exporter</title><style>:root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;"
        "max-width:40rem;margin:3rem auto;padding:0 1rem}</style></head>"
        f"<body><h1>llama-exporter {escape(version)}</h1><ul>{items}</ul></body></html>"
    )
