from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.system.model_facts import (
    ListedModel,
    Props,
    describe,
    parse_models,
    parse_props,
    parse_slots,
)
from exporter.system.snapshot import ModelSnapshot, ModelState, SlotSnapshot
from tests.system import captures

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_props_of_a_server() -> None:
    assert parse_props(captures.document("props")) == Props(
        router=False,
        build="b0-unknown",
        model_alias="tiny",
        model_path="models/tiny-Q4_K_M.gguf",
        file_type="all F32",
        context_size=2048,
        total_slots=2,
        sleeping=False,
        vision=False,
        audio=False,
        tools=False,
    )


def test_props_of_a_router_and_of_a_model_behind_it() -> None:
    router = parse_props(captures.document("router-props"))
    assert router == Props(router=True, build="b0-unknown", model_alias="llama-server")
    model = parse_props(captures.document("router-props-model"))
    assert model is not None
    assert (model.router, model.model_alias, model.context_size, model.sleeping) == (False, "tiny-Q4_K_M", 1024, False)


def test_props_of_an_old_build_do_not_know_of_sleep() -> None:
    old = parse_props({"default_generation_settings": {"n_ctx": 4096}, "total_slots": 1, "chat_template": ""})
    assert old == Props(context_size=4096, total_slots=1)


@pytest.mark.parametrize("document", [None, [], "ok", {}, {"status": "ok"}, {"detail": "Not Found"}, 7])
def test_other_documents_are_no_props(document: object) -> None:
    assert parse_props(document) is None


@pytest.mark.parametrize(
    ("build", "number"),
    [("b11434-5c0d8a1", 11434), ("b0-unknown", None), ("5230-abc", 5230), ("master", None), (None, None)],
)
def test_build_numbers(build: str | None, number: int | None) -> None:
    assert Props(build=build).build_number == number


def test_the_list_of_a_server() -> None:
    assert parse_models(captures.document("models")) == (
        ListedModel(
            id="tiny",
            file_type="all F32",
            parameters=125376,
            size_bytes=501504,
            context_size=2048,
            training_context_size=4096,
            vision=False,
            audio=False,
        ),
    )


@pytest.mark.parametrize(
    ("capture", "state", "has_meta"),
    [
        ("router-models", ModelState.UNLOADED, False),
        ("router-models-loading", ModelState.LOADING, False),
        ("router-models-loaded", ModelState.LOADED, True),
        ("router-models-unloaded", ModelState.UNLOADED, False),
    ],
)
def test_the_list_of_a_router(capture: str, state: ModelState, has_meta: bool) -> None:
    listed = parse_models(captures.document(capture))
    assert listed is not None
    assert [(model.id, model.state) for model in listed] == [
        ("tiny-Q2_K", ModelState.UNLOADED),
        ("tiny-Q4_K_M", state),
    ]
    assert [model.path for model in listed] == [
        "/srv/llm/models/tiny-Q2_K.gguf",
        "/srv/llm/models/tiny-Q4_K_M.gguf",
    ]
    assert [model.sleep_seconds for model in listed] == [0.0, 0.0]
    assert listed[1].parameters == (125376 if has_meta else None)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"value": "sleeping"}, ModelState.SLEEPING),
        ({"value": "downloading"}, ModelState.DOWNLOADING),
        ({"value": "unloaded", "exit_code": 1, "failed": True}, ModelState.FAILED),
        ({"value": "loading", "failed": True}, ModelState.LOADING),
        ({"value": "downloaded"}, ModelState.UNLOADED),
        ({"value": "pondering"}, ModelState.UNLOADED),
        ({"value": 7}, ModelState.UNLOADED),
        ("loaded", ModelState.UNLOADED),
    ],
)
def test_states_of_a_routers_models(status: object, state: ModelState) -> None:
    [model] = parse_models({"data": [{"id": "m", "status": status}]}) or ()
    assert model.state is state


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (["llama-server", "--sleep-idle-seconds", "300"], 300.0),
        (["llama-server", "--sleep-idle-seconds", "-1"], 0.0),
        (["llama-server", "--port", "0"], 0.0),
        (["llama-server", "--sleep-idle-seconds"], 0.0),
        (["llama-server", "--sleep-idle-seconds", "soon"], None),
        ([], None),
        (None, None),
    ],
)
def test_sleep_shows_in_a_routers_arguments(arguments: object, seconds: float | None) -> None:
    [model] = parse_models({"data": [{"id": "m", "status": {"value": "loaded", "args": arguments}}]}) or ()
    assert model.sleep_seconds == seconds


def test_entries_without_a_name_are_left_out_and_other_documents_are_no_list() -> None:
    assert parse_models({"data": [{"id": ""}, {}, "x", {"id": "llama3.2:latest", "object": "model"}]}) == (
        ListedModel(id="llama3.2:latest"),
    )
    documents: list[object] = [None, [], {"data": {}}, {"models": []}]
    assert [parse_models(document) for document in documents] == [None] * 4


def test_slots_that_were_never_used_are_empty() -> None:
    assert parse_slots(captures.document("slots-idle")) == (
        SlotSnapshot(0, False, 2048, 0),
        SlotSnapshot(1, False, 2048, 0),
    )


def test_slots_keep_their_context_after_a_request() -> None:
    assert parse_slots(captures.document("slots-after")) == (
        SlotSnapshot(0, False, 2048, 24),
        SlotSnapshot(1, False, 2048, 30),
    )
    assert parse_slots(captures.document("router-slots")) == (
        SlotSnapshot(0, False, 1024, 0),
        SlotSnapshot(1, False, 1024, 30),
    )


def test_slots_of_old_builds() -> None:
    slots = [
        {"id": 0, "state": 1, "n_ctx": 512, "n_past": 77, "prompt": "secret"},
        {"id": 1, "state": 0, "n_ctx": 512, "prompt": ""},
        {"id": 2, "is_processing": True, "id_task": -1, "params": {}},
        {"is_processing": False},
        {"id": 4},
        "noise",
    ]
    assert parse_slots(slots) == (
        SlotSnapshot(0, True, 512, 77),
        SlotSnapshot(1, False, 512, None),
        SlotSnapshot(2, True, None, None),
        SlotSnapshot(3, False, None, 0),
    )


@pytest.mark.parametrize("document", [{"error": {"code": 501}}, None, "x", 3])
def test_other_documents_are_no_slots(document: object) -> None:
    assert parse_slots(document) is None


def test_a_model_described_by_all_that_is_known() -> None:
    [listed] = parse_models(captures.document("models")) or ()
    props = parse_props(captures.document("props"))
    assert describe(listed, props, ModelState.LOADED) == ModelSnapshot(
        id="tiny",
        state=ModelState.LOADED,
        aliases=(),
        file_name="tiny-Q4_K_M.gguf",
        quantization="Q4_K_M",
        parameters=125376,
        size_bytes=501504,
        context_size=2048,
        training_context_size=4096,
        total_slots=2,
        file_type="all F32",
        vision=False,
        audio=False,
        tools=False,
    )


def test_an_unloaded_model_is_described_by_the_routers_arguments() -> None:
    listed = (parse_models(captures.document("router-models")) or ())[0]
    model = describe(listed, None, listed.state)
    assert model is not None
    assert (model.id, model.file_name, model.quantization) == ("tiny-Q2_K", "tiny-Q2_K.gguf", "Q2_K")
    assert (model.parameters, model.context_size, model.file_type) == (None, None, None)
    assert (model.vision, model.audio, model.tools) == (False, False, None)
    assert "/srv" not in repr(model)


def test_an_unloaded_model_that_is_fetched_is_described_by_its_repository() -> None:
    arguments = ["llama-server", "--alias", "coder", "--hf-repo", "ggml-org/gemma-3-4b-it-GGUF:Q8_0"]
    [listed] = parse_models({"data": [{"id": "coder", "status": {"value": "unloaded", "args": arguments}}]}) or ()
    unloaded = describe(listed, None, listed.state)
    assert unloaded is not None
    assert (unloaded.id, unloaded.file_name, unloaded.quantization) == ("coder", None, "Q8_0")
    loaded = describe(listed, Props(model_path="/cache/gemma-3-4b-it-Q4_K_M.gguf"), ModelState.LOADED)
    assert loaded is not None
    assert loaded.quantization == "Q4_K_M"


@pytest.mark.parametrize(
    ("said", "vision", "audio"),
    [
        ({"input_modalities": ["text", "image"]}, True, False),
        ({"input_modalities": ["text", "image", "audio"]}, True, True),
        ({"input_modalities": ["text", 7, None]}, False, False),
        ({"input_modalities": []}, None, None),
        ({"input_modalities": "image"}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_the_list_says_what_a_model_takes(said: object, vision: bool | None, audio: bool | None) -> None:
    [listed] = parse_models({"data": [{"id": "m", "architecture": said}]}) or ()
    assert (listed.vision, listed.audio) == (vision, audio)


@pytest.mark.parametrize(
    ("props", "expected"),
    [
        ({"modalities": {"vision": True, "audio": False}}, (True, False, None)),
        ({"modalities": {"vision": True}, "chat_template_caps": {"supports_tools": True}}, (True, None, True)),
        ({"chat_template_caps": {"supports_tools": False}}, (None, None, False)),
        ({"modalities": ["vision"], "chat_template_caps": "tools"}, (None, None, None)),
        ({"modalities": {"vision": 1}, "chat_template_caps": {"supports_tools": "yes"}}, (None, None, None)),
    ],
)
def test_props_say_what_a_model_takes(props: dict[str, object], expected: tuple[bool | None, ...]) -> None:
    parsed = parse_props({"total_slots": 1} | props)
    assert parsed is not None
    assert (parsed.vision, parsed.audio, parsed.tools) == expected


def test_what_a_loaded_model_takes_is_what_its_props_say() -> None:
    listed = ListedModel(id="m", vision=True, audio=False)
    for props, expected in (
        (Props(vision=False, audio=True, tools=True), (False, True, True)),
        (Props(), (True, False, None)),
        (None, (True, False, None)),
    ):
        model = describe(listed, props, ModelState.LOADED)
        assert model is not None
        assert (model.vision, model.audio, model.tools) == expected


def test_a_sleeping_model_that_was_never_listed_is_described_by_its_props() -> None:
    props = parse_props(captures.document("props"))
    assert props is not None
    named = describe(None, props, ModelState.SLEEPING)
    assert named is not None
    assert (named.id, named.state, named.file_type) == ("tiny", ModelState.SLEEPING, "all F32")
    unnamed = describe(None, replace(props, model_alias=None), ModelState.LOADED)
    assert unnamed is not None
    assert unnamed.id == "tiny-Q4_K_M.gguf"
    assert describe(None, Props(), ModelState.LOADED) is None


def test_paths_are_nobodys_business() -> None:
    # Without --alias a server calls its model by its path, and gives that as an alias as well.
    path = "/home/me/models/tiny-Q4_K_M.gguf"
    model = describe(ListedModel(id=path, aliases=(path, "pet")), Props(model_path=path), ModelState.LOADED)
    assert model is not None
    assert (model.id, model.aliases, model.file_name) == ("tiny-Q4_K_M.gguf", ("pet",), "tiny-Q4_K_M.gguf")


@given(JSON, st.integers(0, 400))
def test_no_document_raises(noise: Any, cut: int) -> None:
    for parse in (parse_props, parse_models, parse_slots):
        parse(noise)
        parse([noise])
        parse({"data": [noise, {"id": "x", "meta": noise, "status": {"args": [noise], "value": noise}}]})
    parse_props({"default_generation_settings": noise, "total_slots": noise, "role": noise, "is_sleeping": noise})
    parse_props({"modalities": noise, "chat_template_caps": noise})
    parse_models(
        {"data": [{"id": "x", "architecture": noise}, {"id": "x", "architecture": {"input_modalities": noise}}]}
    )
    parse_slots([{"id": noise, "is_processing": True, "n_ctx": noise, "n_prompt_tokens": noise}])
    broken = json.dumps(captures.document("props"))[:cut]
    assert parse_props(broken) is None
