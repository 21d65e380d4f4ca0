"""Parts of messages by the GenAI conventions, from the content blocks, messages and items of all dialects.

`asked` reads requests by it, `answered` answers. Whatever JSON comes, nothing here raises. Blocks and items that
llama-server does not know (tools that a server runs itself, tools without a schema) are named by their type, with their
text if they have one; `function_call` and `functions`, which came before tools, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from exporter.observe.documents import Document, items, mapping, parse, text
from exporter.otel.content.messages import MIME_KEYS, TEXT_CHARACTERS, Message, Part, copy, cut

_TOOL = "tool"
_ASSISTANT = "assistant"
_BLOCKS = 256
"""Of a message no more content blocks than these are looked at, and no more calls of tools."""
_WORDS = dict.fromkeys(("text", "input_text", "output_text", "refusal"), "text")
_WORDS |= dict.fromkeys(("thinking", "reasoning_text", "summary_text"), "reasoning")
"""Types of parts by types of blocks."""
_WORDS_KEYS = ("text", "thinking", "refusal")
_MODALITIES = ("image", "audio", "video", "file", "document")
_URL_KEYS = ("url", "image_url", "audio_url", "video_url", "file_data", "data")
_HEAD_CHARACTERS = 128


def read_content(content: object) -> Iterator[Part]:
    """The parts of a content: of a text, of a block, or of a list of such."""
    for block in content[:_BLOCKS] if isinstance(content, list) else [content]:
        part = _read_block({"text": block} if isinstance(block, str) else mapping(block))
        if part is not None:
            yield part


def _read_block(block: Document) -> Part | None:
    kind = text(block.get("type")) or "text"
    modality = _modality(kind)
    if modality is not None:
        return _read_media(kind, modality, block)
    if kind == "tool_use":
        return _tool_call(block.get("id"), block.get("name"), block.get("input"))
    if kind == "tool_result":
        failed = {"is_error": True} if block.get("is_error") is True else {}
        return _tool_response(block.get("tool_use_id"), block.get("content")) | failed
    words = next((each for key in _WORDS_KEYS if isinstance(each := block.get(key), str) and each), None)
    if words is not None:
        return {"type": _WORDS.get(kind, kind), "content": cut(words)}
    return None if kind in _WORDS else {"type": kind}


def _modality(kind: str | None) -> str | None:
    return next((each for each in _MODALITIES if each in (kind or "")), None)


def _read_media(kind: str, modality: str, block: Document) -> Part:
    """Where an image, a sound, a film or a file lies, or that it was sent along: the content, which the schema demands,
    stays empty. The particulars stand in the block itself or one level deeper: `{"image_url": {"url": ...}}`,
    `{"source": {"data": ...}}`, `{"input_audio": {"format": "wav"}}`."""
    fields = mapping(block.get(kind)) or mapping(block.get("source")) or block
    form = text(fields.get("format"))
    mime = next((each for key in MIME_KEYS if (each := text(fields.get(key)))), form and f"{modality}/{form}")
    url = next((each for key in _URL_KEYS if isinstance(each := fields.get(key), str) and each), "")
    head = url[:_HEAD_CHARACTERS]
    is_inline = head[:5].lower() == "data:"
    if is_inline:
        mime = head[5:].partition(",")[0].partition(";")[0] or mime
    about: Part = {"modality": modality} | ({"mime_type": mime} if mime else {})
    if "://" in head and not is_inline:
        return {"type": "uri", **about, "uri": cut(url)}
    return {"type": "blob", **about, "content": ""}  # also bare base64, as llama-server takes it


def _tool_call(number: object, name: object, arguments: object) -> Part:
    """A call that the model wants; arguments that are JSON in a string are unpacked."""
    return {"type": "tool_call", "id": text(number), "name": text(name) or "", "arguments": _unpack(arguments)}


def _unpack(arguments: object) -> Any:
    if isinstance(arguments, str) and len(arguments) <= TEXT_CHARACTERS:
        try:
            return copy(parse(arguments.encode("utf-8", "replace")))
        except ValueError:
            pass
    return copy(arguments)


def _tool_response(number: object, response: object) -> Part:
    return {"type": "tool_call_response", "id": text(number), "response": _read_response(response)}


def _read_response(response: object) -> Any:
    """A text, the parts of several blocks, or whatever else it is."""
    if isinstance(response, str):
        return cut(response)
    blocks = items(response)[:_BLOCKS]
    kinds = [text(mapping(each).get("type")) for each in blocks]
    if not kinds or not all(kind in _WORDS or _modality(kind) for kind in kinds):
        return copy(response)
    parts = list(read_content(blocks))
    return parts[0]["content"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def read_message(value: object) -> Message | None:
    """A message of the OpenAI chat or of the Anthropic dialect; None when it is none. One of nothing but the results
    of tools has the role `tool`, also where Anthropic says `user`."""
    if not isinstance(value, dict):
        return None
    role = text(value.get("role")) or "user"
    name = text(value.get("name"))
    named = {} if name is None else {"name": name}
    content = value.get("content")
    if role == _TOOL:
        return {"role": role, **named, "parts": [_tool_response(value.get("tool_call_id"), content)]}
    if items(content) and all(mapping(each).get("type") == "tool_result" for each in items(content)):
        role = _TOOL
    return {"role": role, **named, "parts": _read_parts(value)}


def _read_parts(message: Document) -> Iterator[Part]:
    thoughts = message.get("reasoning_content") or message.get("reasoning")
    yield from read_content({"type": "thinking", "thinking": thoughts})
    yield from read_content(message.get("content"))
    yield from read_content(message.get("refusal"))
    for call in map(mapping, items(message.get("tool_calls"))[:_BLOCKS]):
        function = mapping(call.get("function"))
        yield _tool_call(call.get("id"), function.get("name"), function.get("arguments"))


def read_item(value: object) -> Message | None:
    """An item of the responses dialect, which may stand for a message, a call, a result, or a thought."""
    fields = mapping(value)
    kind = text(fields.get("type")) or "message"
    if kind == "message":
        return read_message(value)
    number = fields.get("call_id") or fields.get("id")
    if kind.endswith("_output"):
        return {"role": _TOOL, "parts": [_tool_response(number, fields.get("output"))]}
    if kind == "reasoning":
        thoughts = items(fields.get("content")) or items(fields.get("summary"))
        return {"role": _ASSISTANT, "parts": read_content(thoughts)}
    if kind == "function_call":
        return {"role": _ASSISTANT, "parts": [_tool_call(number, fields.get("name"), fields.get("arguments"))]}
    return {"role": _ASSISTANT, "parts": [{"type": kind}]}
