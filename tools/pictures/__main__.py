"""`python -m tools.pictures`: a picture of each dashboard, with the figures of a running Prometheus. See README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path

import httpx

from exporter.errors import StartupError
from tests.dashboards.evaluate import QueryError
from tests.end_to_end.shipped import Pace
from tests.end_to_end.stage import StageProcess
from tools.pictures.browser import DrawingError, easel
from tools.pictures.scene import Period, Scene, Source

AS_SHIPPED = 1
"""How much sooner than shipped an alert is sure of itself: pictures show what a user sees."""
ROOT = Path(__file__).parent.parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every panel of every dashboard had data."""
    options = _options(arguments)
    with ExitStack() as stack:
        if options.demo:
            stage = stack.enter_context(StageProcess(Pace(options.scrape_interval, AS_SHIPPED))).stage
            _say(f"the demo plays for {options.demo:.0f} s")
            time.sleep(options.demo)
            options.prometheus = stage.prometheus
        return _draw(options)


def _draw(options: argparse.Namespace) -> int:
    boards = {path: json.loads(path.read_text()) for path in options.dashboards}
    end = options.end or time.time()
    period = Period(options.start or end - options.seconds, end, options.scrape_interval)
    source = Source(options.prometheus, period, dict(options.variable))
    scenes = {path: source.scene(board, [each["title"] for each in boards.values()]) for path, board in boards.items()}
    options.out.mkdir(parents=True, exist_ok=True)
    with easel(options.width) as browser:
        for path, scene in scenes.items():
            drawing = browser.draw(scene.data)
            picture = options.out / f"{path.stem}.png"
            picture.write_bytes(drawing.png)
            _say(f"{picture}  {len(drawing.png) / 1024:.0f} KiB")
            for complaint in dict.fromkeys(drawing.complaints):
                _say(f"  page: {complaint[:300]}")
    return 1 if sum(_report(path.stem, scene, options.allow_empty) for path, scene in scenes.items()) else 0


def _report(name: str, scene: Scene, allowed: Sequence[str]) -> int:
    """Says what each panel had; how many were empty and may not be."""
    empty = 0
    for panel in scene.data["panels"]:
        if panel["type"] in ("row", "text"):
            continue
        title = panel["title"]
        why = scene.faults.get(panel["id"])
        excused = any(fnmatch(title, pattern) for pattern in allowed)
        empty += why is not None and not excused
        _say(f"{name}: {title}: {'data' if why is None else why + (' (allowed)' if excused else '')}")
    return empty


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    parser.add_argument("dashboards", nargs="*", type=Path, default=sorted((ROOT / "dashboards").glob("*.json")))
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="address of one that scrapes a sidecar")
    parser.add_argument(
        "--demo", type=float, metavar="SECONDS", help="start the demo and what is around it, and wait so long"
    )
    parser.add_argument("--start", type=float, help="Unix seconds")
    parser.add_argument("--end", type=float, help="Unix seconds; now, if left out")
    parser.add_argument("--seconds", type=float, default=300, help="how much time to show, without --start")
    parser.add_argument("--scrape-interval", type=int, default=5, help="seconds")
    parser.add_argument("--width", type=int, default=1600, help="pixels")
    parser.add_argument("--variable", action="append", default=[], type=_pair, metavar="NAME=VALUE")
    parser.add_argument("--allow-empty", action="append", default=[], metavar="TITLE", help="panels that may be empty")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    return parser.parse_args(arguments)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (DrawingError, QueryError, StartupError, httpx.HTTPError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
