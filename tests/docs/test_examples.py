"""Every `curl` example of docs/api-*.md does what the page shows, asked of a real sidecar with the real curl.

- An example is one plain `curl` command (no pipe, no variable) to the documented address of the admin listener or of
  the proxy, and the answer below it. What is not to be run is a block `console`; an answer without a command above it
  is not compared with anything.
- JSON and YAML: equal keys, and equal types of values; of lists, the first element. An answer with the key `error` at
  its top is one to a mistake (4xx), any other is a success. Text: a success with something in it.
- A stream without an end must be bounded by the command itself, with `--max-time`; then running into that limit (curl's
  exit status 28) is a success, if the status was one and something came.
- The examples of a page run in their order, all pages in one sidecar, which has finished some requests, serves a stream
  (`tests/docs/house.py`), and knows no GPU.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.house import in_use
from tests.docs.pages import ADMIN, FORMS, PROXY, Example, arguments, blocks, differences, examples, is_bounded, read
from tests.end_to_end.sidecar import Sidecar

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("api-*.md"))
EXAMPLES = [example for page in PAGES for example in examples(page)]
TIMED_OUT = 28
CURLRC = """
silent
show-error
noproxy = *
max-time = 20
write-out = "%{stderr}%{http_code}"
"""
"""The status of the answer goes to standard error, behind whatever curl complains of."""


@pytest.fixture(scope="module")
def sidecar() -> Iterator[Sidecar]:
    with in_use() as running:
        yield running


@pytest.fixture(scope="module")
def curl_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    home = tmp_path_factory.mktemp("curl")
    (home / ".curlrc").write_text(CURLRC)
    return home


def run(words: list[str], curl_home: Path) -> tuple[int, str]:
    """Status and body of the answer. Fails where curl does."""
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, env={"CURL_HOME": str(curl_home)}
    )
    accepted = (0, TIMED_OUT) if is_bounded(words) else (0,)
    assert done.returncode in accepted, done.stderr
    return int(done.stderr[-3:]), done.stdout


def check(example: Example, status: int, body: str) -> list[str]:
    """What is wrong with the answer."""
    if example.form == "text":
        return [] if status < 400 and body.strip() else [f"{status}: {body!r}"]
    documented = read(example.form, example.answer)
    is_mistake = isinstance(documented, dict) and "error" in documented
    if not (400 <= status < 500 if is_mistake else 200 <= status < 300):
        return [f"{status}: {body[:500]}"]
    return differences(documented, read(example.form, body))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_examples(page: Path) -> None:
    found = examples(page)
    assert found, "a block `sh` with a curl command, and the answer in a block below it"
    for example in found:
        assert example.form in FORMS, f"line {example.line}: no answer in {', '.join(FORMS)} follows"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.page}:{example.line}")
def test_example(example: Example, sidecar: Sidecar, curl_home: Path) -> None:
    words = [word.replace(ADMIN, sidecar.admin).replace(PROXY, sidecar.proxy) for word in arguments(example.command)]
    status, body = run(words, curl_home)
    assert check(example, status, body) == [], body[:2000]


def test_there_are_pages() -> None:
    assert PAGES


class TestRunner:
    """It would notice."""

    @pytest.mark.parametrize(
        ("documented", "answered", "found"),
        [
            ({"a": 1, "b": [{"c": "x"}]}, {"b": [{"c": "y"}, {}], "a": 2.5}, []),
            ({"a": 1}, {}, ["the document: a is documented, and missing"]),
            ({}, {"a": 1}, ["the document: a is not documented"]),
            ({"a": {"b": 1}}, {"a": {"b": None}}, ["the document.a.b is null, documented is a number"]),
            ({"a": 1}, {"a": True}, ["the document.a is a boolean, documented is a number"]),
            ([{"a": 1}], [{"a": "1"}], ["the document[0].a is text, documented is a number"]),
            ([1], [], ["the document is empty"]),
            ([], [1], []),
            (
                "2026-11-20T08:32:30.000Z",
                "2026-11-20T08:32:30Z",
                ["the document is a time with 0 digits and zone Z, documented is a time with 3 digits and zone Z"],
            ),
        ],
    )
    def test_differences(self, documented: Any, answered: Any, found: list[str]) -> None:
        assert differences(documented, answered) == found

    @pytest.mark.parametrize(
        ("command", "reason"),
        [
            (f"wget {ADMIN}/", "one curl command"),
            (f"curl {ADMIN}/\ncurl {ADMIN}/", "one curl command"),
            (f"curl {ADMIN}/ | head", "needs a shell"),
            (f"curl {ADMIN}/a?b=1&c=2", "needs a shell"),
            (f"curl {ADMIN}/ -H 'x-api-key: '$KEY", "needs a shell"),
            ("curl http://127.0.0.1:3000/", "must ask"),
        ],
    )
    def test_commands_that_are_none(self, command: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            arguments(command)

    def test_commands(self) -> None:
        command = f"curl -X POST \\\n  '{ADMIN}/a?b=1&c=2' -d '{{\"d\": 1}}'  # why"
        assert arguments(command) == ["curl", "-X", "POST", f"{ADMIN}/a?b=1&c=2", "-d", '{"d": 1}']

    @pytest.mark.parametrize(
        ("form", "answer", "status", "body", "good"),
        [
            ("json", '{"a": 1}', 200, '{"a": 2}', True),
            ("json", '{"a": 1}', 404, '{"a": 2}', False),
            ("json", '{"error": "x"}', 404, '{"error": "y"}', True),
            ("json", '{"error": "x"}', 200, '{"error": "y"}', False),
            ("json", '{"error": "x"}', 500, '{"error": "y"}', False),
            ("yaml", "a: 1", 200, "a: 'x'", False),
            ("yaml", "# why\na: 1", 200, "a: 2.5", True),
            ("text", "", 200, "data: {}", True),
            ("text", "", 200, "", False),
            ("text", "", 500, "data: {}", False),
        ],
    )
    def test_answers(self, form: str, answer: str, status: int, body: str, good: bool) -> None:
        assert (check(Example("page", 1, "", form, answer), status, body) == []) == good

    def test_blocks(self, tmp_path: Path) -> None:
        page = tmp_path / "api-x.md"
        page.write_text(
            "```json\n{}\n```\n\n```sh\ncurl a\n```\n\nIt says:\n\n```text\nb\nc\n```\n\n```sh\ncurl d\n```\n"
        )
        assert examples(page) == [
            Example("api-x.md", 5, "curl a", "text", "b\nc"),
            Example("api-x.md", 16, "curl d", "", ""),
        ]
        with pytest.raises(ValueError, match="line 1 does not end"):
            list(blocks("```sh\ncurl a\n"))
