"""What a model is called in public: never by the path of its file."""

from __future__ import annotations

import re


def public_name(name: str) -> str:
    """A server without `--alias` calls its model by its file's path; only the file's name is anybody's business."""
    return base_name(name) if name.endswith(".gguf") or name.startswith(("/", "\\")) else name


def base_name(path: str) -> str:
    """Last part of a POSIX or Windows path."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
