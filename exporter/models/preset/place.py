"""Where the preset file lies, as the settings say. `app` asks."""

from __future__ import annotations

import os
from pathlib import Path

from exporter.config import state_directory
from exporter.errors import StartupError
from exporter.settings import Settings, split_address

NOWHERE = Path(os.devnull, "models.ini")
"""Where nothing can be written: whoever has no home directory can do without models."""


def place_preset(settings: Settings) -> Path:
    """Where the preset file is; two sidecars of one user have two. Raises StartupError for a user without a home, where
    nobody says."""
    given = settings.models.preset_file
    try:
        if given is not None:
            return Path(given).expanduser()
        _, port = split_address(settings.proxy.listen)
        return state_directory() / f"models-{port}.ini"
    except RuntimeError:
        if given is not None or settings.models.llama_server is not None:
            raise StartupError("models.preset_file: there is no home directory to keep it in; name a file") from None
        return NOWHERE
