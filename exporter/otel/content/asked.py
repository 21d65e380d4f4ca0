"""What a request asks, as span attributes: messages, system instructions, definitions of tools.

`tracing` calls it, where people have asked for content. It takes a body in any dialect, by its operation. Prompts that
are numbers of tokens or come with media, suffixes, infills and reranked documents are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from exporter.observe.documents import Document, items, mapping, text
from exporter.otel.content.messages import Message, copy, cut, write_list, write_messages
from exporter.otel.content.parts import read_content, read_item, read_message

INPUT_MESSAGES = "gen_ai.input.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"

_EMPTY = "[]"
_FUNCTION = "function"
_TOOLS = 1024


def asked(operation: str, document: Mapping[str, Any]) -> dict[str, str]:
    """The attributes for a request body that is a JSON object; those of which it says nothing are left out.

    `operation` is as in `RequestRecord.operation`; one that asks the model nothing has no attributes. Never raises.
    It takes 3 ms, and 8 ms for the oddest bodies, however long: messages are read from the newest on, while there is
    room.
    """
    if operation not in _READERS:
        return {}
    keys, read = _READERS[operation]
    given = next((each for key in keys if (each := document.get(key)) is not None), None)
    written = write_messages(_read_backwards(given, read))
    found = {
        INPUT_MESSAGES: f"[{','.join(reversed(written))}]",
        SYSTEM_INSTRUCTIONS: write_list(read_content(document.get(_SYSTEM.get(operation, ""))))[0],
        TOOL_DEFINITIONS: _write_tools(items(document.get("tools"))[:_TOOLS]),
    }
    return {name: value for name, value in found.items() if value != _EMPTY}


def _read_backwards(given: object, read: Callable[[Any], Message | None]) -> Iterator[Message]:
    """The messages, or texts that stand for messages, from the newest on, up to what is neither."""
    for value in [given] if isinstance(given, str) else reversed(items(given)):
        message = _read_text(value) if isinstance(value, str) else read(value)
        if message is None:
            return
        yield message


def _read_text(given: object) -> Message | None:
    """Of several prompts, each is answered for itself."""
    return {"role": "user", "parts": read_content(given)} if isinstance(given, str) and given else None


_READERS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], Message | None]]] = {
    "chat": (("messages",), read_message),
    "messages": (("messages",), read_message),
    "responses": (("input",), read_item),
    "text_completion": (("prompt",), _read_text),
    "embeddings": (("input", "content"), _read_text),
}
_SYSTEM = {"messages": "system", "responses": "instructions"}


def _write_tools(tools: list[Any]) -> str:
    """Without parameters where they are too long all together."""
    written, is_whole = write_list(_define_tools(tools, with_parameters=True))
    return written if is_whole else write_list(_define_tools(tools, with_parameters=False))[0]


def _define_tools(tools: list[Any], *, with_parameters: bool) -> Iterator[Document]:
    """OpenAI nests what describes a function, the others do not."""
    for tool in map(mapping, tools):
        fields = mapping(tool.get(_FUNCTION)) or tool
        name = text(fields.get("name"))
        if name is None:
            continue
        definition: Document = {"type": text(tool.get("type")) or _FUNCTION, "name": name}
        if isinstance(fields.get("description"), str):
            definition["description"] = cut(fields["description"])
        parameters = fields.get("parameters", fields.get("input_schema"))
        if isinstance(parameters, dict) and with_parameters:
            definition["parameters"] = copy(parameters)
        yield definition
