"""What llama-server's JSON says of models and slots, in old builds too. Pure; called by `single_model` and `router`.

Each parser takes a decoded JSON document, whatever it is, and never raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.model_name import base_name, public_name
from exporter.system.documents import Document, count, flag, mapping, sequence, size, text
from exporter.system.quantization import quantization
from exporter.system.snapshot import ModelSnapshot, ModelState, SlotSnapshot

BUILD_NUMBER = re.compile(r"^b?(\d+)\b")
STATES = {state.value: state for state in ModelState}


@dataclass(frozen=True, slots=True)
class Props:
    """`/props` of a server, or of one model behind a router."""

    router: bool = False
    build: str | None = None
    model_alias: str | None = None
    model_path: str | None = None
    file_type: str | None = None
    context_size: int | None = None
    total_slots: int | None = None
    sleeping: bool | None = None
    """None for builds that cannot sleep (before December 2025)."""
    vision: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    """Whether the chat template knows tools."""

    @property
    def build_number(self) -> int | None:
        """11434 for `b11434-5c0d8a1`; None when it was built without its history (`b0-unknown`)."""
        match = BUILD_NUMBER.match(self.build or "")
        return int(match[1]) or None if match else None


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One entry of `/v1/models`, or of a router's `/models`."""

    id: str
    aliases: tuple[str, ...] = ()
    state: ModelState = ModelState.LOADED
    path: str | None = None
    repository: str | None = None
    """Where a router fetches the model from (`org/name-GGUF:Q4_K_M`)."""
    file_type: str | None = None
    parameters: int | None = None
    size_bytes: int | None = None
    context_size: int | None = None
    training_context_size: int | None = None
    sleep_seconds: float | None = None
    """A router's `--sleep-idle-seconds` for this model: 0 when it never sleeps, None when the entry does not say."""
    vision: bool | None = None
    audio: bool | None = None


def parse_props(document: object) -> Props | None:
    """None when the document is not `/props` of a llama-server."""
    props = mapping(document)
    settings = mapping(props.get("default_generation_settings"))
    if not (settings or "role" in props or "total_slots" in props or "model_path" in props):
        return None
    path = text(props.get("model_path"))
    modalities, template = mapping(props.get("modalities")), mapping(props.get("chat_template_caps"))
    return Props(
        router=props.get("role") == "router",
        build=text(props.get("build_info")),
        model_alias=text(props.get("model_alias")),
        model_path=None if path == "none" else path,
        file_type=text(props.get("model_ftype")),
        context_size=size(settings.get("n_ctx")),
        total_slots=size(props.get("total_slots")),
        sleeping=flag(props.get("is_sleeping")),
        vision=flag(modalities.get("vision")),
        audio=flag(modalities.get("audio")),
        tools=flag(template.get("supports_tools")),
    )


def parse_models(document: object) -> tuple[ListedModel, ...] | None:
    """None when the document is not a list of models."""
    data = mapping(document).get("data")
    if not isinstance(data, list):
        return None
    entries = (mapping(item) for item in data)
    return tuple(_listed(entry) for entry in entries if text(entry.get("id")))


def _listed(entry: Document) -> ListedModel:
    meta, status = mapping(entry.get("meta")), mapping(entry.get("status"))
    arguments = [argument for argument in sequence(status.get("args")) if isinstance(argument, str)]
    inputs = sequence(mapping(entry.get("architecture")).get("input_modalities"))
    return ListedModel(
        id=entry["id"],
        aliases=tuple(alias for alias in sequence(entry.get("aliases")) if text(alias) and alias != entry["id"]),
        state=_state(status) if "status" in entry else ModelState.LOADED,
        path=_argument(arguments, "--model"),
        repository=_argument(arguments, "--hf-repo"),
        file_type=text(meta.get("ftype")),
        parameters=size(meta.get("n_params")),
        size_bytes=size(meta.get("size")),
        context_size=size(meta.get("n_ctx")),
        training_context_size=size(meta.get("n_ctx_train")),
        sleep_seconds=_sleep_seconds(arguments),
        vision="image" in inputs if inputs else None,
        audio="audio" in inputs if inputs else None,
    )


def _state(status: Document) -> ModelState:
    """A word that we do not know is unloaded: what is not surely there is not asked for more."""
    if flag(status.get("failed")) and status.get("value") == "unloaded":
        return ModelState.FAILED
    return STATES.get(str(status.get("value")), ModelState.UNLOADED)


def _sleep_seconds(arguments: list[str]) -> float | None:
    if not arguments:
        return None
    try:
        return max(0.0, float(_argument(arguments, "--sleep-idle-seconds") or 0))
    except ValueError:
        return None


def _argument(arguments: list[str], name: str) -> str | None:
    """The value behind an option; a router spells its children's options out in full."""
    position = arguments.index(name) + 1 if name in arguments else len(arguments)
    return arguments[position] if position < len(arguments) else None


def parse_slots(document: object) -> tuple[SlotSnapshot, ...] | None:
    """None when the document is not a list of slots."""
    if not isinstance(document, list):
        return None
    slots = (_slot(position, mapping(item)) for position, item in enumerate(document))
    return tuple(slot for slot in slots if slot is not None)


def _slot(position: int, slot: Document) -> SlotSnapshot | None:
    processing = flag(slot.get("is_processing"))
    if processing is None:
        state = count(slot.get("state"))  # builds before the end of 2024: 0 idle, 1 processing
        if state is None:
            return None
        processing = state != 0
    number = count(slot.get("id"))
    return SlotSnapshot(
        id=position if number is None else number,
        processing=processing,
        context_size=size(slot.get("n_ctx")),
        context_used=_context_used(slot),
    )


def _context_used(slot: Document) -> int | None:
    """`n_prompt_tokens` grows with every generated token: it is what the slot holds (measured on build 11434).

    Old builds said `n_past`. A slot that has never had a task has neither a task number nor parameters, and is empty.
    """
    for key in ("n_prompt_tokens", "n_past"):
        if (used := count(slot.get(key))) is not None:
            return used
    return None if slot.keys() & {"id_task", "task_id", "params", "prompt"} else 0


def describe(
    listed: ListedModel | None,
    props: Props | None,
    state: ModelState,
) -> ModelSnapshot | None:
    """Everything that does not change from one moment to the next; None when nothing names the model."""
    listed, props = listed or ListedModel(id=""), props or Props()
    path = props.model_path or listed.path
    file_name = base_name(path) if path else None
    name = listed.id or props.model_alias or file_name
    if name is None:
        return None
    shown = public_name(name)
    aliases = (public_name(alias) for alias in listed.aliases)
    file_type = props.file_type or listed.file_type
    return ModelSnapshot(
        id=shown,
        state=state,
        aliases=tuple(alias for alias in aliases if alias != shown),
        file_name=file_name,
        quantization=quantization(shown, file_name or listed.repository, file_type),
        parameters=listed.parameters,
        size_bytes=listed.size_bytes,
        context_size=props.context_size or listed.context_size,
        training_context_size=listed.training_context_size,
        total_slots=props.total_slots,
        file_type=file_type,
        vision=listed.vision if props.vision is None else props.vision,
        audio=listed.audio if props.audio is None else props.audio,
        tools=props.tools,
    )
