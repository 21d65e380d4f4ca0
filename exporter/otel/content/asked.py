"""What a request asks, as span attributes: messages, system instructions, definitions of tools.

`tracing` calls it, where people have asked for content. It takes a body in any dialect, by its operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from exporter.observe.documents import Document, items, mapping, text
from exporter.otel.content.media import blob
from exporter.otel.content.messages import Message, Part, copy, write_conversation, write_first_fitting, write_parts
from exporter.otel.content.parts import read_content, read_item, read_message, text_part

INPUT_MESSAGES = "gen_ai.input.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"

_FUNCTION = "function"
_PARAMETERS = ("parameters", "input_schema")
_OPTIONAL = ("parameters", "description")
_TOOLS = 1024


def asked(operation: str, document: Mapping[str, Any]) -> dict[str, str]:
    """The attributes for a request body that is a JSON object; those of which it says nothing are left out.

    `operation` is as in `RequestRecord.operation`; one that asks the model nothing has no attributes. Never raises.
    """
    read = _READERS.get(operation)
    if read is None:
        return {}
    found = {INPUT_MESSAGES: read(document)}
    if operation in _SYSTEM:
        system = read_content(document.get(_SYSTEM[operation]))
        found[SYSTEM_INSTRUCTIONS] = write_parts(system) if system else None
    if operation in _WITH_TOOLS:
        found[TOOL_DEFINITIONS] = _write_tools(document)
    return {name: value for name, value in found.items() if value is not None}


# Conversations


def _read_messages(document: Mapping[str, Any]) -> str | None:
    return write_conversation(items(document.get("messages")), read_message)


def _read_items(document: Mapping[str, Any]) -> str | None:
    given = document.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    return write_conversation(items(given), read_item)


# Prompts


def _read_prompts(document: Mapping[str, Any]) -> str | None:
    suffix = document.get("suffix")
    if isinstance(suffix, str) and suffix:
        return _write_prompt(_named(document, ("prompt", "suffix")))
    return write_conversation(_split(document.get("prompt")), _read_prompt)


def _read_inputs(document: Mapping[str, Any]) -> str | None:
    given = document.get("input")
    return write_conversation(_split(document.get("content") if given is None else given), _read_prompt)


def _read_infill(document: Mapping[str, Any]) -> str | None:
    parts = [
        text_part(extra["text"], name=text(extra.get("filename")) or "input_extra")
        for extra in map(mapping, items(document.get("input_extra")))
        if isinstance(extra.get("text"), str)
    ]
    return _write_prompt([*parts, *_named(document, ("input_prefix", "prompt", "input_suffix"))])


def _read_rerank(document: Mapping[str, Any]) -> str | None:
    parts = _named(document, ("query",))
    for each in _split(document.get("documents", document.get("texts"))):
        parts += [part | {"name": "document"} for part in _read_prompt_parts(each)]
    return _write_prompt(parts)


def _named(document: Mapping[str, Any], keys: Iterable[str]) -> list[Part]:
    """The parts of a prompt that has several fields, each with its field's name."""
    return [part | {"name": key} for key in keys for part in _read_prompt_parts(document.get(key))]


def _split(value: object) -> list[Any]:
    """The prompts; a list with token numbers in it is one."""
    if value is None:
        return []
    return [value] if not isinstance(value, list) or any(type(each) is int for each in value) else value


def _read_prompt(prompt: object) -> Message | None:
    parts = _read_prompt_parts(prompt)
    return {"role": "user", "parts": parts} if parts else None


def _write_prompt(parts: list[Part]) -> str | None:
    return write_conversation([{"role": "user", "parts": parts}], lambda message: message) if parts else None


def _read_prompt_parts(prompt: object) -> list[Part]:
    """Of a text, of texts and token numbers by turns, or of llama-server's `{"prompt_string": ..., "multimodal_data":
    [...]}`."""
    if isinstance(prompt, dict):
        media = [blob("unknown") for _ in items(prompt.get("multimodal_data"))]
        return (
            read_content(prompt.get("prompt_string")) + media
            if media
            else read_content(prompt.get("prompt_string", prompt))
        )
    return list(_count_tokens(prompt)) if isinstance(prompt, list) else read_content(prompt)


def _count_tokens(prompt: list[Any]) -> Iterator[Part]:
    """Numbers of tokens mean nothing to anybody but the model: how many there are is enough."""
    for are_numbers, group in groupby(prompt, lambda each: type(each) is int):
        if are_numbers:
            yield {"type": "tokens", "count": sum(1 for _ in group)}
        else:
            yield from read_content(list(group))


# Tools


def _write_tools(document: Mapping[str, Any]) -> str | None:
    """With parameters and descriptions, where these are not too long all together."""
    tools = [mapping(each) for each in items(document.get("tools"))[:_TOOLS]]
    tools += [{"type": _FUNCTION, _FUNCTION: each} for each in items(document.get("functions"))[:_TOOLS]]
    definitions = [definition for tool in tools if (definition := _define_tool(tool)) is not None]
    return write_first_fitting(_without_details(definitions)) if definitions else None


def _without_details(definitions: list[Document]) -> Iterator[list[Document]]:
    yield definitions
    left_out: set[str] = set()
    for key in _OPTIONAL:
        left_out.add(key)
        yield [{name: value for name, value in each.items() if name not in left_out} for each in definitions]


def _define_tool(tool: Document) -> Document | None:
    """OpenAI nests what describes a function, the others do not; tools of the server's own may have no name."""
    fields = mapping(tool.get(_FUNCTION)) or tool
    kind = text(tool.get("type")) or _FUNCTION
    parameters = next((value for key in _PARAMETERS if isinstance(value := fields.get(key), dict)), None)
    if kind == "custom" and parameters is not None:
        kind = _FUNCTION  # so Anthropic calls functions
    name = text(fields.get("name")) or text(fields.get("server_label")) or (None if kind == _FUNCTION else kind)
    if name is None:
        return None
    definition: Document = {"type": kind, "name": name}
    if isinstance(fields.get("description"), str):
        definition["description"] = copy(fields["description"])
    if parameters is not None:
        definition["parameters"] = copy(parameters)
    return definition


_READERS: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "chat": _read_messages,
    "messages": _read_messages,
    "responses": _read_items,
    "text_completion": _read_prompts,
    "infill": _read_infill,
    "embeddings": _read_inputs,
    "rerank": _read_rerank,
}
_SYSTEM = {"messages": "system", "responses": "instructions"}
_WITH_TOOLS = frozenset(("chat", "messages", "responses"))
