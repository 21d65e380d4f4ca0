"""Parts of messages by the GenAI conventions, from the content blocks, messages and items of all dialects.

`asked` reads requests by it, `answered` answers. Whatever JSON comes, nothing here raises; what has no form that is
known is named by its type, with its text if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from exporter.observe.documents import Document, items, mapping, parse, text
from exporter.otel.content import media
from exporter.otel.content.messages import TEXT_CHARACTERS, Message, Part, copy, cut

Readers = Mapping[str, Callable[[Document], Part | None]]
"""By type of a content block."""

_TOOL = "tool"
_ASSISTANT = "assistant"
_DETAILS = ("action", "input", "arguments", "code", "queries", "server_label")


# Parts


def text_part(content: str, **more: str) -> Part:
    """A text; `more` says what it is where a prompt has several."""
    return {"type": "text", "content": cut(content), **more}


def reasoning_part(content: str) -> Part:
    """What the model thought."""
    return {"type": "reasoning", "content": cut(content)}


def tool_call(number: object, name: object, arguments: object) -> Part:
    """A call that the model wants; arguments that are JSON in a string are unpacked."""
    return {"type": "tool_call", "id": text(number), "name": text(name) or "", "arguments": _unpack(arguments)}


def tool_response(number: object, response: object) -> Part:
    """What a tool found."""
    return {"type": "tool_call_response", "id": text(number), "response": _read_response(response)}


def server_tool_call(number: object, name: str, kind: str, fields: Document) -> Part:
    """A call of a tool that the server itself carries out."""
    about = {"type": kind} | {key: copy(fields[key]) for key in _DETAILS if key in fields}
    return {"type": "server_tool_call", "id": text(number), "name": name, "server_tool_call": about}


def _unpack(arguments: object) -> Any:
    if isinstance(arguments, str) and len(arguments) <= TEXT_CHARACTERS:
        try:
            return copy(parse(arguments.encode("utf-8", "replace")))
        except ValueError:
            pass
    return copy(arguments)


def _read_response(response: object) -> Any:
    """A text, the parts of several blocks, or whatever else it is. No block is looked for results of other tools."""
    blocks = response if isinstance(response, list) else [response]
    if not blocks or not all(text(mapping(each).get("type")) in _PLAIN_BLOCKS for each in blocks):
        return copy(response)
    parts = read_content(blocks, _PLAIN_BLOCKS)
    return parts[0]["content"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


# Content blocks


def read_content(content: object, readers: Readers | None = None) -> list[Part]:
    """The parts of a content: of a text, of a block, or of a list of such."""
    if isinstance(content, str):
        return [text_part(content)] if content else []
    readers = _BLOCKS if readers is None else readers
    blocks = content if isinstance(content, list) else [content]
    return [part for block in blocks if (part := _read_block(block, readers)) is not None]


def _read_block(block: object, readers: Readers) -> Part | None:
    if isinstance(block, str):
        return text_part(block)
    fields = mapping(block)
    kind = text(fields.get("type"))
    if kind is None:
        return _read_text(fields)
    read = readers.get(kind)
    if read is not None:
        return read(fields)
    if kind.endswith("_tool_result"):
        return _read_server_result(kind, fields)
    words = fields.get("text")
    return {"type": kind, "content": cut(words)} if isinstance(words, str) else {"type": kind}


def _read_text(block: Document) -> Part | None:
    return _make_of_text(block, ("text", "content", "refusal"), text_part)


def _read_reasoning(block: Document) -> Part | None:
    return _make_of_text(block, ("thinking", "text"), reasoning_part)


def _make_of_text(block: Document, keys: Iterable[str], make: Callable[[str], Part]) -> Part | None:
    found = next((value for key in keys if isinstance(value := block.get(key), str) and value), None)
    return None if found is None else make(found)


def _read_document(block: Document) -> Part:
    source = mapping(block.get("source"))
    if source.get("type") == "text" and isinstance(source.get("data"), str):
        return text_part(source["data"])
    return media.read_media(block)


def _read_tool_use(block: Document) -> Part:
    return tool_call(block.get("id"), block.get("name"), block.get("input"))


def _read_tool_result(block: Document) -> Part:
    failed = {"is_error": True} if block.get("is_error") is True else {}
    return tool_response(block.get("tool_use_id"), block.get("content")) | failed


def _read_server_tool(block: Document) -> Part:
    name = text(block.get("name")) or ""
    return server_tool_call(block.get("id"), name, name, block)


def _read_server_result(kind: str, block: Document) -> Part:
    about = {"type": kind, "content": copy(block.get("content"))}
    return {
        "type": "server_tool_call_response",
        "id": text(block.get("tool_use_id")),
        "server_tool_call_response": about,
    }


_PLAIN_BLOCKS: Readers = {
    **dict.fromkeys(("text", "input_text", "output_text", "refusal"), _read_text),
    **dict.fromkeys(("thinking", "reasoning_text", "summary_text"), _read_reasoning),
    **dict.fromkeys(media.KINDS, media.read_media),
    "document": _read_document,
}
_BLOCKS: Readers = {
    **_PLAIN_BLOCKS,
    "tool_use": _read_tool_use,
    "tool_result": _read_tool_result,
    "server_tool_use": _read_server_tool,
}


# Messages


def read_message(value: object) -> Message | None:
    """A message of the OpenAI chat or of the Anthropic dialect; None when it is none. One of nothing but the results
    of tools has the role `tool`, also where Anthropic says `user`."""
    if not isinstance(value, dict):
        return None
    role = text(value.get("role")) or "user"
    name = text(value.get("name"))
    if role in (_TOOL, "function"):
        parts = [tool_response(value.get("tool_call_id"), value.get("content"))]
    else:
        parts = list(_read_parts(value))
    if parts and all(each["type"] == "tool_call_response" for each in parts):
        role = _TOOL
    return {"role": role, "parts": parts} | ({} if name is None else {"name": name})


def _read_parts(message: Document) -> Iterable[Part]:
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thoughts, str) and thoughts:
        yield reasoning_part(thoughts)
    yield from read_content(message.get("content"))
    yield from read_content(message.get("refusal"))
    for call in map(mapping, items(message.get("tool_calls"))):
        yield _read_chat_call(call)
    if message.get("function_call"):
        yield _read_chat_call({"function": message["function_call"]})


def _read_chat_call(call: Document) -> Part:
    function = mapping(call.get("function")) or mapping(call.get("custom"))
    return tool_call(call.get("id"), function.get("name"), function.get("arguments", function.get("input")))


def read_item(value: object) -> Message | None:
    """An item of the responses dialect, which may stand for a message, a call, a result, or a thought."""
    if not isinstance(value, dict):
        return None
    kind = text(value.get("type")) or "message"
    if kind.endswith("_output"):
        return {"role": _TOOL, "parts": [tool_response(value.get("call_id"), value.get("output"))]}
    if kind == "reasoning":
        thoughts = items(value.get("content")) or items(value.get("summary"))
        return {"role": _ASSISTANT, "parts": read_content(thoughts, _PLAIN_BLOCKS)}
    if kind == "message" or isinstance(value.get("content"), list):
        return read_message(value)  # also one whose type was cut off
    return {"role": _ASSISTANT, "parts": [_read_call(kind, value)]}


def _read_call(kind: str, item: Document) -> Part:
    number = item.get("call_id") or item.get("id")
    if kind in ("function_call", "custom_tool_call"):
        return tool_call(number, item.get("name"), item.get("arguments", item.get("input")))
    if kind.endswith("_call"):
        return server_tool_call(number, text(item.get("name")) or kind.removesuffix("_call"), kind, item)
    return {"type": kind}
