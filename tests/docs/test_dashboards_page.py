"""The page about dashboards names panels that exist, and every dashboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "dashboards.md").read_text()
TITLES = {
    board["title"].removeprefix("llama-exporter / "): {panel["title"] for panel in board["panels"]}
    for board in (json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("*.json")))
}


def rows(page: str) -> list[tuple[str, str, str]]:
    """Figure, dashboard and panel of each line of the table of other systems."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")
    ]
    return [(line[1], line[2], line[3]) for line in cells if len(line) == 4 and line[0] not in ("system", "---")]


def missing(page: str) -> list[str]:
    return [f"{figure}: {board} / {panel}" for figure, board, panel in rows(page) if panel not in TITLES.get(board, ())]


def test_every_figure_of_other_systems_has_its_panel() -> None:
    assert len(rows(PAGE)) > 50
    assert missing(PAGE) == []


def test_a_panel_that_is_gone_would_be_noticed() -> None:
    assert missing(PAGE.replace("| Resources | VRAM |", "| Resources | Video memory |", 1)) == [
        "VRAM: Resources / Video memory"
    ]


@pytest.mark.parametrize("title", sorted(TITLES))
def test_every_dashboard_is_shown(title: str) -> None:
    assert f"### {title}\n\n![{title}](pictures/" in PAGE
