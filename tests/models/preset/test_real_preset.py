"""What we write into a preset file is what a real llama-server makes of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from exporter.models.model import Value
from exporter.models.parameters.parameters import PARAMETERS, check
from exporter.models.preset import preset
from tests.models.preset.test_preset import GOOD_NAMES
from tests.models.real_router import RealRouter, router_binary

pytestmark = pytest.mark.router

SET: dict[str, Value] = {
    "temperature": 0.35,
    "max_tokens": 100,
    "top_p": 0.8,
    "top_k": 30,
    "min_p": 0.02,
    "typical_p": 0.9,
    "top_n_sigma": 1.5,
    "repeat_penalty": 1.1,
    "repeat_last_n": 32,
    "presence_penalty": 0.2,
    "frequency_penalty": -0.3,
    "mirostat": 2,
    "mirostat_eta": 0.2,
    "mirostat_tau": 4.5,
    "seed": 42,
    "threads": 2,
    "threads_batch": 1,
    "prio": -1,
    "poll": 0,
    "load_mode": "none",
    "cache_ram": 100,
    "threads_http": 3,
    "timeout": 120,
    "n_ctx": 2048,
    "n_gpu_layers": 35,
    "flash_attn": "on",
    "kv_offload": False,
    "batch_size": 512,
    "ubatch_size": 128,
    "parallel": 2,
    "cont_batching": False,
    "cache_type_k": "q8_0",
    "cache_type_v": "q4_0",
    "cache_prompt": False,
    "cache_reuse": 16,
}
UNSEEN = {"max_tokens"}
"""The model's properties always show -1."""
SLOW = {"threads", "threads_batch", "parallel", "n_ctx", "poll"}
"""At their maximum; two of them together, on a small machine, for half a minute."""
REFUSED = "error while handling argument"


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRouter]:
    # Only caches of wide models can be quantised.
    with RealRouter(router_binary(), tmp_path_factory.mktemp("router"), ("a",), embedding=128) as router:
        yield router


def load(router: RealRouter, options: Mapping[str, Value]) -> str:
    """The model's state after it was loaded with these, and nothing else."""
    section = preset.section(str(router.models["a"]), check(options))
    response = router.apply(preset.render({"a": section}))
    assert response.status_code == 200, response.text
    return router.load("a")


def serves(router: RealRouter, options: Mapping[str, Value]) -> bool:
    """Whether the model can be loaded with these, and answers."""
    return load(router, options) == "loaded" and router.chat("a").status_code == 200


def properties(router: RealRouter) -> dict[str, Any]:
    response = httpx.get(f"{router.url}/props", params={"model": "a", "autoload": "false"}, timeout=30)
    shown = response.json()
    assert isinstance(shown, dict)
    return shown


def arguments(router: RealRouter) -> dict[str, str]:
    """The child's command line, by option; "" for one without a value."""
    words = router.listed()["a"]["status"]["args"]
    following = (*islice(words, 1, None), "--")
    return {
        word.removeprefix("--"): "" if value.startswith("--") else value
        for word, value in zip(words, following, strict=True)
        if word.startswith("--")
    }


def test_a_model_gets_every_parameter(router: RealRouter) -> None:
    assert SET.keys() == {each.name for each in PARAMETERS}
    assert [each.name for each in PARAMETERS if SET[each.name] == each.default] == []
    assert serves(router, SET), router.log
    given = arguments(router)
    for each in PARAMETERS:
        if each.type == "boolean":
            assert given[f"no-{each.option}"] == ""
        else:
            assert given[each.option] == preset.section(None, SET)[each.option]
    _check_properties(properties(router))


def _check_properties(shown: dict[str, Any]) -> None:
    settings = shown["default_generation_settings"]
    assert (shown["total_slots"], settings["n_ctx"]) == (2, 1024)
    sampling = [each.name for each in PARAMETERS if each.category == "model" and each.name not in UNSEEN]
    assert {name: settings["params"][name] for name in sampling} == pytest.approx(
        {name: SET[name] for name in sampling}
    )


def test_the_defaults_are_those_of_llama_server(router: RealRouter) -> None:
    assert load(router, {}) == "loaded", router.log
    untouched = properties(router)
    assert load(router, {each.name: each.default for each in PARAMETERS}) == "loaded", router.log
    spelled_out = properties(router)
    chance = {"media_marker": None}
    assert spelled_out | chance == untouched | chance


def test_every_minimum_can_be_had(router: RealRouter) -> None:
    least = {each.name: each.minimum for each in PARAMETERS if each.minimum is not None}
    assert serves(router, least), router.log
    assert serves(router, {each.name: each.gap[1] + 1 for each in PARAMETERS if each.gap}), router.log


def test_every_maximum_can_be_had(router: RealRouter) -> None:
    most = {each.name: each.maximum for each in PARAMETERS if each.maximum is not None}
    assert serves(router, {name: value for name, value in most.items() if name not in SLOW}), router.log
    assert serves(router, {name: most[name] for name in ("threads", "threads_batch")}), router.log
    assert serves(router, {"poll": most["poll"]}), router.log
    assert serves(router, {"parallel": most["parallel"], "n_ctx": 256}), router.log


def test_the_longest_context_is_understood(router: RealRouter, tmp_path: Path) -> None:
    """There is no memory for it here, so there is no model either."""
    longest = next(each.maximum for each in PARAMETERS if each.name == "n_ctx")
    section = preset.section(str(tmp_path / "none.gguf"), check({"n_ctx": longest}))
    assert router.apply(preset.render({"a": section})).status_code == 200
    before = len(router.log)
    assert router.load("a") == "failed"
    assert REFUSED not in router.log[before:]
    assert "none.gguf" in router.log[before:]


@pytest.mark.parametrize("number", range(max(len(each.choices) for each in PARAMETERS)))
def test_every_choice_can_be_had(router: RealRouter, number: int) -> None:
    choices = {each.name: each.choices[number % len(each.choices)] for each in PARAMETERS if each.choices}
    choices["flash_attn"] = "on" if "_" in str(choices["cache_type_v"]) else choices["flash_attn"]
    assert serves(router, choices), router.log


def test_llama_server_knows_every_option() -> None:
    said = subprocess.run([router_binary(), "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert {each.option for each in PARAMETERS} <= set(re.findall(r"--([a-z][a-z0-9-]*)", said))


def test_models_have_the_names_that_they_were_given(router: RealRouter, tmp_path: Path) -> None:
    path = tmp_path / "llama 3 (8B) [x] = 'y' \\.gguf"
    path.write_bytes(router.models["a"].read_bytes())
    section = preset.section(str(path), {})
    response = router.apply(preset.render(dict.fromkeys(GOOD_NAMES, section)))
    assert response.status_code == 200, response.text
    assert router.listed().keys() == set(GOOD_NAMES)
    for name in ("back\\", "org/model:Q4_K_M"):
        assert router.load(name) == "loaded", router.log
        assert router.chat(name).json()["model"] == name
        router.unload(name)


def test_what_we_refuse_to_write_is_not_harmless(router: RealRouter) -> None:
    """Names with such ends become those of other models; and a value that ends early is another value."""
    model = router.models["a"]
    text = f"{preset.HEADER}\n[a:latest]\nmodel = {model}\n[b:UD-Q4]\nmodel = {model}\n[c]\nmodel = {model}#1\n"
    assert router.apply(text).status_code == 200
    assert router.listed().keys() == {"a:LATEST", "b:Q4", "c"}
    assert router.load("c") == "loaded"
    assert router.apply(f"{text}[d]e]\n").status_code == 500
