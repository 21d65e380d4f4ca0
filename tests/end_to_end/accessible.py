"""Whether people can use a page who cannot see it well, or at all, as far as axe-core finds out."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"], reporter: "v2" })).violations.map(
  ({ id, nodes }) => ({ id, nodes: nodes.map((node) => node.html.slice(0, 200)) }))"""


def violations(page: Page) -> list[str]:
    """What it finds fault with."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(RUN)
    return [f"{each['id']}: {node}" for each in found for node in each["nodes"]]
