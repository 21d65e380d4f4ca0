"""The page that shows the description to people: Swagger UI, with nothing from another host and no inline script."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from exporter.api.files import File

PATH = "/api/docs"
HTML = "text/html"
CSS = "text/css"
JAVASCRIPT = "text/javascript"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets style attributes
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {"content-security-policy": POLICY, "referrer-policy": "no-referrer"}

ASK = """\
<form id="key-form">
<h1>llama-exporter</h1>
<p>This sidecar requires a key, for its description as well.</p>
<label>API key <input id="key" type="password" autocomplete="off" required autofocus></label>
<button type="submit">Show</button>
<p id="problem" role="alert"></p>
<p>The key is kept until this page is closed or loaded again. It is one of <code>auth.api_keys</code>, or
<code>PROXY_API_KEY</code>.</p>
</form>
"""
OPEN = '<p id="problem" role="alert"></p>\n'
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>llama-exporter {version}: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{path}/swagger-ui.css">
<link rel="stylesheet" href="{path}/page.css">
<script src="{path}/swagger-ui-bundle.js" defer></script>
<script src="{path}/page.js" defer></script>
</head>
<body>
<noscript><p>This page needs JavaScript; what it shows is <a href="/openapi.json">/openapi.json</a>.</p></noscript>
{start}<div id="viewer"></div>
</body>
</html>
"""


def make_page(version: str, *, keys: bool) -> File:
    """The page itself. Where keys are configured, it asks for one before it fetches the description."""
    text = PAGE.format(version=escape(version), path=PATH, start=ASK if keys else OPEN)
    return File.of(HTML, text.encode(), HEADERS)


def parts() -> dict[str, File]:
    """What the page loads, by the name under `PATH`."""
    folder = files(__package__) / "viewer"
    return {
        "swagger-ui-bundle.js": File(JAVASCRIPT, (folder / "swagger-ui-bundle.js.gz").read_bytes()),
        "swagger-ui.css": File(CSS, (folder / "swagger-ui.css.gz").read_bytes()),
        "page.js": File.of(JAVASCRIPT, (folder / "page.js").read_bytes()),
        "page.css": File.of(CSS, (folder / "page.css").read_bytes()),
    }
