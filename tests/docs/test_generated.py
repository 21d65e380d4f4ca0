"""The generated pages of docs/ are what their generator would write now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
PAGES: dict[Path, str] = GENERATOR.pages()


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.name)
def test_page_is_up_to_date(page: Path) -> None:
    assert page.read_text(encoding="utf-8") == PAGES[page], "run `make docs`"


def test_what_is_written_around_the_table_of_routes_stays() -> None:
    page = GENERATOR.api_page("before\n<!-- routes -->\nold\n<!-- end of routes -->\nafter\n")
    assert page.startswith("before\n<!-- routes -->\n| contract |")
    assert page.endswith("|\n<!-- end of routes -->\nafter\n")
    assert "old" not in page


def test_every_kind_of_route_is_in_the_table() -> None:
    page = PAGES[ROOT / "docs" / "api.md"]
    assert "| Health | `GET /-/healthy` | Liveness (open) |" in page
    assert "| Description | `GET /openapi.json` | This API in OpenAPI 3.1 |" in page


def test_no_two_contracts_claim_one_route() -> None:
    rows = [line.split(" | ") for line in PAGES[ROOT / "docs" / "api.md"].splitlines() if line.startswith("| ")]
    routes = [row[1] for row in rows]
    assert len(routes) == len(set(routes)) > 10
