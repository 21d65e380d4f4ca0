"""The text of the report: it reads back as the document that it was made of, whatever names and filters hold."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.api.vandamme import report, totals
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.report import EVERYTHING
from exporter.api.vandamme.rows import Filter, gather
from exporter.live.totals import Totals
from tests.api.vandamme.records import record
from tests.api.vandamme.traffic import in_flight
from tests.api.views import WALL, make_live

NAMES = Names(("llama_cpp",))
LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"

nasty = st.text(st.sampled_from("#:-?*&!|>'\"%@`{}[], \\\t\x00\x1b~=<abY09.\ud800\ufeff\U0001f600" + LINE_BREAKS))
words = st.sampled_from(
    ["yes", "No", "null", "~", "true", "y", "123", "1.0", "1e3", "0x10", "0o14", "12:30:45", "2026-01-01", ".inf", "=",
     "<<", "-", "- a", "? a", "a: b", "a #b", "#a", "!!int 3", "&a", "*a", "it's", '"', " a", "a ", "---", "...", "{}"]
)  # fmt: skip
names = st.one_of(nasty, words, st.text(max_size=300), st.text(st.characters(categories=["Cf", "Co"]), min_size=100))


def write(*counted: tuple[str, str], active: tuple[str, ...] = (), chosen: Filter = EVERYTHING) -> tuple[Any, str]:
    """The document and its text, of requests by provider and model."""
    live = make_live()
    for provider, model in counted:
        live.record(record(provider=provider, requested_model=model))
    flying = [in_flight(number, model=model) for number, model in enumerate(active)]
    rows = gather(live.totals, flying, NAMES, lambda _: None, include_active=True)
    document = totals.running_totals(rows, chosen, len(flying))
    return document, report.write_totals(document, chosen, WALL)


def read_back(text: str) -> Any:
    """As a reader of UTF-8 gets it."""
    return yaml.safe_load(text.encode())


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(names, names), max_size=4), st.lists(names, max_size=2), names, names)
@example([("\n", "\n#"), ("p", "#x")], ["a\x85b"], "x\nsummary: 1", "\u2028providers: {}")
@example([("p", "\U000e0001" * 200)], ["\U000e0001" * 250], "", "")
def test_it_reads_back(counted: list[tuple[str, str]], active: list[str], provider: str, model: str) -> None:
    for chosen in (Filter(), Filter(provider, model)):
        document, text = write(*counted, active=tuple(active), chosen=chosen)
        assert read_back(text) == document
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert not set(LINE_BREAKS[1:] + "\t\x00\x1b\ufeff") & set(text)


@settings(deadline=None)
@given(st.lists(st.tuples(names, names), max_size=6), st.lists(names, max_size=3))
def test_sums(counted: list[tuple[str, str]], active: list[str]) -> None:
    document, _ = write(*counted, active=tuple(active))
    summary, providers = document["summary"], document["providers"]
    assert summary["total_requests"] == len(counted) + len(active)
    for count in ("requests", "errors", "input_tokens", "output_tokens", "cache_read_tokens", "tool_calls"):
        rollups = [entry["rollup"]["total"][count] for entry in providers.values()]
        models = [model["total"][count] for entry in providers.values() for model in entry["models"].values()]
        assert summary[f"total_{count}"] == sum(rollups) == sum(models)


@pytest.mark.parametrize("name", ["tiny", "llama3.1:8b", "org/repo", "Qwen2.5-7B-Instruct_Q4_K_M.gguf", "a+b"])
def test_ordinary_names_stand_as_they_are(name: str) -> None:
    _, text = write(("llama_cpp", name))
    assert f"\n      {name}:\n" in text
    assert "\n  # Llama_Cpp Provider\n  llama_cpp:\n" in text


@pytest.mark.parametrize("name", ["yes", "Null", "y", "N", "1e3", "0o14", "123", "#x", "12:30", "2026-01-01", "a: b"])
def test_names_that_mean_something_else_are_quoted(name: str) -> None:
    _, text = write(("llama_cpp", name))
    assert f"\n      '{name}':\n" in text


def test_a_name_that_looks_like_a_comment_overwrites_nobody() -> None:
    document, text = write(("llama_cpp", "!a"), ("llama_cpp", "#x"), ("llama_cpp", "#x"))
    models = read_back(text)["providers"]["llama_cpp"]["models"]
    assert {name: entry["total"]["requests"] for name, entry in models.items()} == {"!a": 1, "#x": 2}
    assert models == document["providers"]["llama_cpp"]["models"]


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("#")]


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("it's", "it's"),
        ("a\nevil: 1", r"a\nevil: 1"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x85z\u2028", r"\x85z\u2028"),
        ("\u202egnp", r"\u202egnp"),
        ("日本*", "日本*"),
        ("q" * 300, "q" * 300),
    ],
)
def test_filters_in_comments(pattern: str, shown: str) -> None:
    _, text = write(chosen=Filter(model=pattern))
    assert f"# Filter: model={shown}" in text.split("\n")
    _, text = write(chosen=Filter(pattern, "b"))
    assert f"# Filter: provider={shown} & model=b" in comments(text)


def test_a_filter_that_is_empty_is_none() -> None:
    assert not any("Filter" in line for line in comments(write(chosen=Filter("", ""))[1]))


def test_numbers() -> None:
    assert report._value(0.0) == "0.0"
    assert report._value(1e16) == "1.0e+16"
    assert yaml.safe_load(report._value(1e16)) == 1e16
    assert report._value(3117.936849594116) == "3117.936849594116"


def test_dates_are_strings() -> None:
    _, text = write(("llama_cpp", "tiny"))
    assert read_back(text)["summary"]["last_accessed"]["top"] == "2023-11-14T22:13:20Z"
    assert re.search(r"# Generated: 2026-11-20T08:32:30\.000000Z\n", text)


def test_without_requests() -> None:
    document = totals.running_totals(gather(Totals(), (), NAMES, lambda _: None, include_active=True), Filter(), 0)
    assert document["summary"]["last_accessed"] is None
    assert document["providers"] == {}
