"""No model is called by the path of its file; names with a slash of their own are kept."""

from __future__ import annotations

import pytest

from exporter.model_name import base_name, public_name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/srv/models/tiny-Q4_K_M.gguf", "tiny-Q4_K_M.gguf"),
        ("models/x.gguf", "x.gguf"),
        ("C:\\models\\x.gguf", "x.gguf"),
        ("/srv/blob", "blob"),
        ("tiny", "tiny"),
        ("ggml-org/gemma-3-4b-it-GGUF:Q4_K_M", "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M"),
    ],
)
def test_public_name(name: str, shown: str) -> None:
    assert public_name(name) == shown


def test_base_name_of_a_folder() -> None:
    assert base_name("/srv/models/") == "models"
