"""Whether dashboards are what Grafana's own types say: each is written as a TypeScript literal that must satisfy
`Dashboard` of `typescript/schema.ts`, and one run of the compiler looks at all of them. `test_schema.py` asks it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest

from tests.dashboards.documents import Json
from tests.programs import program

PROJECT = Path(__file__).parent / "typescript"
PACKAGES = PROJECT / "node_modules"
"""Kept between runs; git does not see it."""
INSTALLED = PACKAGES / ".installed"
"""What of package-lock.json is installed."""
OFFLINE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")
ERROR = re.compile(r"^(?P<name>[\w-]+)\.ts\((?P<line>\d+),\d+\): error (?P<text>TS\d+: .*)$", re.M)


def install() -> None:
    """Install the compiler and the types, unless they are there; skips the test where that is impossible."""
    wanted = sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()
    if INSTALLED.exists() and INSTALLED.read_text() == wanted:
        return
    done = _run([program("npm"), "ci", "--ignore-scripts"], PROJECT)
    if done.returncode != 0 and OFFLINE.search(done.stderr):
        pytest.skip("npm cannot reach its registry")
    assert done.returncode == 0, done.stderr
    INSTALLED.write_text(wanted)


def complaints(documents: Mapping[str, Json], folder: Path) -> dict[str, list[str]]:
    """What the compiler says of each document, with the line of its JSON; `folder` is an empty one to work in.

    Raises AssertionError for what it says of anything else, as of `schema.ts`.
    """
    for name, document in documents.items():
        (folder / f"{name}.ts").write_text(_module(document), encoding="utf-8")
    for part in ("schema.ts", "tsconfig.json"):
        shutil.copy(PROJECT / part, folder)
    (folder / "node_modules").symlink_to(PACKAGES)
    found: dict[str, list[str]] = {name: [] for name in documents}
    for match in ERROR.finditer(_compile(folder)):
        assert match["name"] in found, match[0]
        found[match["name"]].append(f"line {match['line']}: {match['text']}")
    return found


def _module(document: Json) -> str:
    """The import stands in the first line, so that lines are counted as in the JSON."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return f"import type {{ Dashboard }} from './schema'; export default {text} satisfies Dashboard;\n"


def _compile(folder: Path) -> str:
    command = [program("node"), str(PACKAGES / "typescript/bin/tsc"), "--project", str(folder), "--pretty", "false"]
    done = _run(command, folder)
    errors = [line for line in done.stdout.splitlines() if ": error " in line or line.startswith("error ")]
    assert len(errors) == len(ERROR.findall(done.stdout)), done.stdout
    assert (done.returncode == 0) == (not errors), done.stdout + done.stderr
    return done.stdout


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
