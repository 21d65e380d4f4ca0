"""Which quantization a model is, out of names. Pure; called by `model_facts`.

The name that the user chose (a router's tag such as `:Q4_K_M`, or the file's name) goes first: that is what people
compare on a dashboard, and what the file was published as. llama-server's `model_ftype` describes the tensors, cannot
tell `UD-Q4_K_XL` from `Q4_K_M`, and is the second choice. `ModelSnapshot.file_type` shows it as well.
"""

from __future__ import annotations

import re

QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:(?:UD-)?I?Q[1-8]_(?:K(?:_(?:XXL|XL|XS|S|M|L))?|XXS|XS|NL|[SML]|[01](?:_[48]_[48])?)"
    r"|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP16|F16|F32)"
    r"(?=$|[-._:/ ])",
    re.IGNORECASE,
)
BITS_PER_WEIGHT = re.compile(r" - [\d.]+ bpw.*$")
SIZES = {" - Small": "_S", " - Medium": "_M", " - Large": "_L"}


def quantization(model_id: str, file_name: str | None, file_type: str | None) -> str | None:
    """The first that says one: the tag or name of the model, its file, llama-server's own word for the tensors."""
    tag = model_id.rpartition(":")[2] if ":" in model_id else None
    for name in (tag, file_name, model_id):
        if name is not None and (found := QUANTIZATION.findall(name)):
            return str(found[-1]).upper()
    return from_file_type(file_type)


def from_file_type(file_type: str | None) -> str | None:
    """`model_ftype` as a name: `Q4_K - Medium` is Q4_K_M, `IQ4_XS - 4.25 bpw` is IQ4_XS; `all F32` and others stay."""
    if file_type is None or file_type.startswith("unknown"):
        return None
    name = BITS_PER_WEIGHT.sub("", file_type.removeprefix("(guessed) "))
    for words, suffix in SIZES.items():
        name = name.replace(words, suffix)
    return name
