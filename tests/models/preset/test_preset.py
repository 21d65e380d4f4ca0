"""What may stand in a preset file, and its text, there and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.models.model import InvalidError, Value
from exporter.models.parameters.parameters import PARAMETERS, Parameter, check
from exporter.models.preset import preset

PATH = "/models/llama 3 (8B) [x] = y.gguf"
GOOD_NAMES = [
    "llama-2-7b-chat",
    "org/model:Q4_K_M",
    "ein Modell (groß)",
    "模型",
    "a=b",
    '"quoted"',
    "back\\",
    "x" * 200,
]
BAD_NAMES = [
    "",
    " a",
    "a ",
    "a\u00a0",
    "a\nb",
    "a\rb",
    "a\x00b",
    "a\u2028b",
    "\ufeffa",
    "\ud800",
    "a]",
    "[a",
    "a;b",
    "a#b",
    "*",
    "default",
    "status",
    "discover",
    "a/load",
    "org/model/stop",
    ".",
    "..",
    "a/../b",
    "a//b",
    "/a",
    "a/",
    "llama3:latest",
    "llama3:8b:latest",
    "org/model:UD-Q4_K_XL",
    "model:Q4.5",
    "model: Q4",
    "x" * 201,
]


def attempt(text: str) -> bool:
    """Whether something can be a model's name."""
    fields = dict[str, str]()
    try:
        return preset.check_name(text) == text
    except InvalidError as error:
        fields = error.fields
    assert list(fields) == ["name"]
    return False


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_ordinary_names_can_be_had(name: str) -> None:
    assert attempt(name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_the_file_or_an_address_cannot_hold_are_refused(name: str) -> None:
    assert not attempt(name)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "must have 1 to 4096 characters"),
        ("model.gguf", "must be absolute"),
        ("/models/a.gguf\nchat-template-file = /etc/passwd", "must have printable characters only"),
        ("/models/a\udcff.gguf", "must have printable characters only"),
        ("/models/a.gguf ", "must not begin or end with a blank"),
        ("/models/a;b.gguf", "must have no ; or #, where llama-server's file has comments"),
        ("/models/#1.gguf", "must have no ; or #, where llama-server's file has comments"),
        ("/" + "x" * 4096, "must have 1 to 4096 characters"),
    ],
)
def test_a_path_that_cannot_be_written_down_is_refused(path: str, reason: str) -> None:
    for use in (preset.check_path, lambda path: preset.section(path, {})):
        with pytest.raises(InvalidError) as caught:
            use(path)
        assert caught.value.fields == {"path": reason}


def test_a_section_has_long_names_and_plain_values() -> None:
    options = check({"temperature": 0.00001, "repeat_penalty": 1, "seed": 4294967295, "cache_prompt": False, "ngl": 35})
    options |= check({"cont_batching": True, "n_ctx": 0, "max_tokens": -1, "load_mode": "mmap+mlock"})
    assert preset.section(PATH, options) == {
        "model": PATH,
        "temperature": "0.00001",
        "n-predict": "-1",
        "repeat-penalty": "1",
        "seed": "4294967295",
        "load-mode": "mmap+mlock",
        "ctx-size": "0",
        "n-gpu-layers": "35",
        "cont-batching": "true",
        "cache-prompt": "false",
    }
    assert preset.section(None, {}) == {}


def test_a_section_has_nothing_that_is_not_in_the_table() -> None:
    for options in ({"api_key": "x"}, {"cache_type_k": "f16\nmodel = /x"}, {"mirostat": 3}):
        with pytest.raises(InvalidError):
            preset.section(PATH, options)


def test_the_text_says_who_wrote_it_and_is_the_same_for_the_same() -> None:
    first = {"b": {"temperature": "1", "model": "/b.gguf"}, "a": {"model": "/a.gguf"}, "c": dict[str, str]()}
    text = preset.render(first)
    assert text == (
        "; Written by llama-exporter, and written anew whenever a model or a parameter changes: edits are lost.\n\n"
        "[a]\nmodel = /a.gguf\n\n[b]\nmodel = /b.gguf\ntemperature = 1\n\n[c]\n"
    )
    assert preset.render({"c": {}, "a": first["a"], "b": {"model": "/b.gguf", "temperature": "1"}}) == text
    assert preset.parse(text) == first
    assert preset.parse(preset.render({})) == {}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a]\n[*", {"model": "/a.gguf"}),
        ("a", {"model": "/a.gguf\nctx-size = 1"}),
        ("a", {"model": "/a.gguf ; comment"}),
        ("a", {"model": ""}),
        ("a", {"": "x"}),
        ("a", {"--temp": "1"}),
        ("a", {"x = y\nz": "1"}),
        ("a", {"[b]": "1"}),
        ("a", {"Temp": "1"}),
    ],
)
def test_nothing_can_be_smuggled_into_the_text(name: str, values: dict[str, str]) -> None:
    with pytest.raises(InvalidError):
        preset.render({name: values})


OURS = preset.HEADER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[a]\nmodel = /a.gguf\n",
        "; somebody else's\n[a]\nmodel = /a.gguf\n",
        f"\ufeff{OURS}[a]\nmodel = /a.gguf\n",
        f"{OURS}model = /a.gguf\n",
        f"{OURS}[a]\n model = /a.gguf\n",
        f"{OURS}[a]\nmodel\n",
        f"{OURS}[a]\nmodel = \n",
        f"{OURS}[a]\nmodel = /a.gguf ; which\n",
        f"{OURS}[a]\r\nmodel = /a.gguf\r\n",
        f"{OURS}[a]\n[a]\n",
        f"{OURS}[a\n",
        f"{OURS}[a]]\n",
    ],
)
def test_what_is_not_ours_or_is_broken_has_no_sections(text: str) -> None:
    assert preset.parse(text) is None


def test_a_comment_that_somebody_has_added_does_no_harm() -> None:
    assert preset.parse(f"{OURS}\n# mine\n[a]\n; also\nmodel = /a.gguf") == {"a": {"model": "/a.gguf"}}


def test_the_files_of_others_are_known() -> None:
    assert preset.writer(preset.render({})) == ""
    assert preset.writer("\n") == ""
    assert preset.writer("[*]\nctx-size = 4096\n") is None


def _values(name: str) -> st.SearchStrategy[Value]:
    each = next(each for each in PARAMETERS if each.name == name)
    if each.type == "boolean":
        return st.booleans()
    if each.choices:
        return st.sampled_from(each.choices)
    assert each.minimum is not None
    assert each.maximum is not None
    if each.type == "number":
        return st.floats(each.minimum, each.maximum)
    gap = each.gap or (1, 0)
    return st.integers(int(each.minimum), int(each.maximum)).filter(lambda value: not gap[0] <= value <= gap[1])


TEXT = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="[];#", include_characters=" /"))
OPTIONS = st.fixed_dictionaries({}, optional={each.name: _values(each.name) for each in PARAMETERS})
MODELS = st.dictionaries(TEXT.filter(attempt), st.tuples(TEXT, OPTIONS), max_size=3)


@given(MODELS)
def test_every_preset_is_read_as_it_was_written(models: dict[str, tuple[str, dict[str, Value]]]) -> None:
    sections = {name: preset.section(f"/{path.strip()}", check(options)) for name, (path, options) in models.items()}
    text = preset.render(sections)
    assert preset.parse(text) == sections
    assert text.startswith(preset.MARK)
    assert text.endswith("\n")
    assert all(line == line.strip() for line in text.split("\n"))


@given(st.sampled_from([each for each in PARAMETERS if each.type == "number"]), st.data())
def test_numbers_are_written_without_exponents(each: Parameter, data: st.DataObject) -> None:
    options = check({each.name: data.draw(_values(each.name))})
    written = preset.section(None, options)[each.option]
    assert float(written) == options[each.name]
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]{1,6})?", written)


@given(st.text(), st.text(), st.text())
def test_whatever_is_rendered_has_one_section_and_one_value(name: str, key: str, value: str) -> None:
    try:
        text = preset.render({name: {key: value}})
    except InvalidError:
        return
    assert text.removeprefix(preset.HEADER) == f"\n[{name}]\n{key} = {value}\n"
    assert text.count("\n") == preset.HEADER.count("\n") + 3


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    preset.parse(text)
    sections = preset.parse(preset.HEADER + text)
    assert sections is None or all(isinstance(values, dict) for values in sections.values())
