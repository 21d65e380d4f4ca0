"""The page and what it loads: plain HTML, CSS and JavaScript modules, nothing of which comes from another host, and
nothing of which holds figures."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from exporter.api.files import File
from exporter.api.operation import Answer, Operation

PATH = "/monitoring"
HTML = "text/html"
MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Of what the page loads, by the ending of its name."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    # Not `no-referrer`: with that, browsers say `Origin: null` of what a form sends, and it would be refused.
    "referrer-policy": "same-origin",
}
"""Of the page and of the form."""


def read_page(name: str) -> bytes:
    """The text of one of the two pages: `page.html`, `sign-in.html`."""
    return (files(__package__) / "assets" / name).read_bytes()


def make_page() -> File:
    """The page itself."""
    return File.of(HTML, read_page("page.html"), HEADERS)


def parts() -> dict[str, File]:
    """What the pages load, by the name under `PATH`."""
    assets = (files(__package__) / "assets").iterdir()
    found = {each.name: (MEDIA.get(each.name[each.name.rfind(".") :]), each) for each in assets}
    return {name: File.of(media, each.read_bytes()) for name, (media, each) in sorted(found.items()) if media}


def operations() -> Iterator[Operation]:
    """Open, since browsers ask for them without a key."""
    tag = {"ETag": "Which version it is"}
    for name, file in parts().items():
        answers = {
            200: Answer("The file", str, file.media, tag),
            304: Answer("`If-None-Match` names the current version", media=None, headers=tag),
        }
        operation = "get_monitoring_" + name.replace(".", "_").replace("-", "_")
        about = "A part of the page"
        yield Operation("GET", f"{PATH}/{name}", file.answer, operation, about, answers, open=True, described=False)
