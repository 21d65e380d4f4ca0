"""Writes each Grafana dashboard as JSON, or says which files differ from what would be written."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from dashboards.generator.boards import BOARDS

FOLDER = Path(__file__).resolve().parent.parent


def documents() -> dict[str, str]:
    """The text of each file by its name."""
    return {f"{board.name}.json": json.dumps(board.json(), indent=2, ensure_ascii=False) + "\n" for board in BOARDS}


def stale(folder: Path) -> list[str]:
    """Names of the files that are missing, differ from what would be written, or are nobody's."""
    wanted = documents()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write(folder: Path) -> None:
    """Write every dashboard, and remove what is none."""
    wanted = documents()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generator", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not up to date")
    if not parser.parse_args(arguments).check:
        write(folder)
        return 0
    outdated = stale(folder)
    if outdated:
        print(f"not up to date: {', '.join(outdated)}; run `make dashboards`", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
