"""Images, sounds, films and files in messages: what they are and where they lie, not their bytes. `parts` calls it."""

from __future__ import annotations

from exporter.observe.documents import Document, mapping, text
from exporter.otel.content.messages import Part, cut

KINDS = frozenset(
    {"image_url", "input_image", "image", "video_url", "input_video", "video", "input_audio", "audio_url", "audio"}
    | {"file", "input_file", "document"}
)
"""Types of content blocks, in all dialects."""

_MODALITIES = ("image", "audio", "video")
_URL_KEYS = ("url", "image_url", "audio_url", "video_url", "file_url", "uri", "data", "file_data")
_MIME_KEYS = ("media_type", "mimeType", "mime_type")
_HEAD_CHARACTERS = 128


def read_media(block: Document) -> Part:
    """A reference, or the note that something was sent along. The particulars stand in the block itself or one level
    deeper: `{"image_url": {"url": ...}}`, `{"source": {"data": ...}}`, `{"input_audio": {"format": "wav"}}`."""
    kind = str(block.get("type"))
    fields = mapping(block.get(kind)) or mapping(block.get("source")) or block
    modality = next((each for each in _MODALITIES if each in kind), "document")
    mime = _find_mime(fields, modality)
    if isinstance(fields.get("file_id"), str):
        return _describe("file", modality, mime, file_id=cut(fields["file_id"]))
    url = _find_url(fields)
    head = "" if url is None else url[:_HEAD_CHARACTERS]
    if head[:5].lower() == "data:":
        return blob(modality, head[5:].partition(",")[0].partition(";")[0] or mime)
    if url is None or "://" not in head:
        return blob(modality, mime)  # bare base64, as llama-server takes it too
    return _describe("uri", modality, mime, uri=cut(url))


def blob(modality: str, mime: str | None = None) -> Part:
    """Media that were sent along. The schema demands a content; it stays empty."""
    return _describe("blob", modality, mime, content="")


def _find_mime(fields: Document, modality: str) -> str | None:
    given = next((each for key in _MIME_KEYS if (each := text(fields.get(key)))), None)
    form = text(fields.get("format"))
    return f"{modality}/{form}" if given is None and form is not None else given


def _find_url(fields: Document) -> str | None:
    for key in _URL_KEYS:
        value = fields.get(key)
        value = value.get("url") if isinstance(value, dict) else value
        if isinstance(value, str) and value:
            return value
    return None


def _describe(kind: str, modality: str, mime: str | None, **where: str) -> Part:
    named = (mime or "").partition("/")[0]
    about = {} if mime is None else {"mime_type": mime}
    return {"type": kind, "modality": named if named in _MODALITIES else modality, **about, **where}
