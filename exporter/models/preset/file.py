"""The preset file on the disk: what is to stand there, and that nobody else's is overwritten. `keeper` writes
it, and has it put right just before a llama-server is started that reads it; each from a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from exporter.models.model import FailedError
from exporter.models.preset import preset
from exporter.models.preset.preset import Section


class PresetFile:
    """Every call blocks, and raises FailedError: where the file cannot be read or written, or is not ours."""

    def __init__(self, path: Path, owner: str) -> None:
        """`owner` tells several sidecars apart; a file that does not say whose it is belongs to whoever finds it."""
        self.path = path
        self.owner = owner
        self._text: str | None = None
        """What is to be there; None as long as that is not known."""
        self._lock = threading.Lock()

    def take_up(self) -> Mapping[str, Section]:
        """What an earlier run has written; nothing of a file that is broken. Where there is none, an empty one is made,
        for no router starts without."""
        with self._lock:
            found = self._read()
            if found is None:
                found = preset.render({}, self.owner)
                preset.write(self.path, found)
            sections = preset.parse(found)
            self._text = None if sections is None else found
            return sections or {}

    def is_intact(self) -> bool:
        """Whether there is what we have written, or taken up."""
        with self._lock:
            return self._read() == self._text is not None

    def write(self, text: str) -> None:
        """Have this there from now on."""
        with self._lock:
            self._put(text)
            self._text = text

    def restore(self) -> None:
        """Have there what is to be there, whatever was done to it meanwhile; in any case something that llama-server
        can read."""
        with self._lock:
            if self._text is not None:
                self._put(self._text)
            elif preset.parse(self._read() or "") is None:
                self._put(preset.render({}, self.owner))

    def _put(self, text: str) -> None:
        if self._read() != text:
            preset.write(self.path, text)

    def _read(self) -> str | None:
        """None where there is none."""
        text = preset.read(self.path)
        writer = preset.writer(text or "")
        if writer is None:
            raise FailedError(
                f"{self.path} is not ours, and is left as it is: choose another preset file (models.preset_file)"
            )
        if writer not in ("", self.owner):
            raise FailedError(
                f"{self.path} is written by another llama-exporter ({writer}), and is left as it is: each needs a file "
                "of its own (models.preset_file); delete this one where that sidecar is no more"
            )
        return text
