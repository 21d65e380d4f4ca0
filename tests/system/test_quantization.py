from __future__ import annotations

import pytest

from exporter.system.quantization import from_file_type, quantization


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tiny-Q4_K_M.gguf", "Q4_K_M"),
        ("tiny-q8_0.gguf", "Q8_0"),
        ("gemma-3-27b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("Llama-4-Scout-IQ2_XXS.gguf", "IQ2_XXS"),
        ("qwen2.5-IQ4_NL.gguf", "IQ4_NL"),
        ("phi.Q6_K.gguf", "Q6_K"),
        ("mistral_Q5_K_S.gguf", "Q5_K_S"),
        ("model-IQ3_M.gguf", "IQ3_M"),
        ("model-IQ1_S.gguf", "IQ1_S"),
        ("llama-Q4_0_4_8.gguf", "Q4_0_4_8"),
        ("big-Q4_K_M-00001-of-00003.gguf", "Q4_K_M"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("gpt-oss-120b-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("bitnet-TQ2_0.gguf", "TQ2_0"),
        ("tiny-bf16.gguf", "BF16"),
        ("from-F16-to-Q5_1.gguf", "Q5_1"),
        ("model-Q2_K.gguf", "Q2_K"),
    ],
)
def test_file_names(name: str, expected: str) -> None:
    assert quantization("tiny", name, "all F32") == expected


@pytest.mark.parametrize("name", ["Qwen3-4B.gguf", "ggml-model.gguf", "Q4.gguf", "xQ4_K_M.gguf"])
def test_names_that_say_nothing_leave_it_to_the_server(name: str) -> None:
    assert quantization("tiny", name, "Q5_K - Medium") == "Q5_K_M"


def test_the_tag_that_the_user_chose_goes_before_the_file_and_the_file_before_the_name() -> None:
    assert quantization("ggml-org/gemma-3-4b-it-GGUF:Q8_0", "gemma-3-4b-it-Q4_K_M.gguf", "Q6_K") == "Q8_0"
    assert quantization("gemma-Q2_K", "gemma-Q4_K_M.gguf", "Q6_K") == "Q4_K_M"
    assert quantization("gemma-Q2_K", None, "Q6_K") == "Q2_K"
    assert quantization("org/gemma-Q3_K_L:latest", None, None) == "Q3_K_L"
    assert quantization("gemma", None, None) is None


@pytest.mark.parametrize(
    ("file_type", "expected"),
    [
        ("all F32", "all F32"),
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q3_K - Large", "Q3_K_L"),
        ("Q2_K - Small", "Q2_K_S"),
        ("IQ4_XS - 4.25 bpw", "IQ4_XS"),
        ("TQ1_0 - 1.69 bpw ternary", "TQ1_0"),
        ("(guessed) Q8_0", "Q8_0"),
        ("unknown, may not work", None),
        (None, None),
    ],
)
def test_the_servers_own_words(file_type: str | None, expected: str | None) -> None:
    assert from_file_type(file_type) == expected
