"""The tiny GGUF model of the demo: real llama.cpp loads it in milliseconds, and nothing is downloaded.

`demo.run` calls `cached_model`, the tests `write_model`. The weights are random, so what it says is noise, but it
prefills, decodes, samples, caches prompts and counts tokens as any llama model does.
"""

from __future__ import annotations

import os
import string
import tempfile
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from exporter.errors import StartupError

DEFAULT_SEED = 20_261_120
CONTEXT_LENGTH = 8192
HEADS = 4
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
END_OF_SEQUENCE = "</s>"
SPECIAL_TOKENS = ("<unk>", "<s>", END_OF_SEQUENCE)
WORDS = (  # noqa: SIM905 - eight lines rather than two hundred
    "a and answer are as ask assistant at average be because been bucket but by cache can chart chat chunk client "
    "cluster context count counter cpu dashboard data decode delay did do does each engine error every explain fast "
    "few first for from gauge gpu graph has have hello help high histogram how idle if in is it last latency layer "
    "list load long low make many me memory message metric model more name need new next no node not of on one or out "
    "over path per please prefill process prompt proxy quantile question queue rate read ready request response route "
    "sample say scrape second series server short show slot slow small so some speed start state stop stream summary "
    "system tell text than that the then there they this tier time to token total trace up user value wait was we "
    "what when where which why will with word world write you your"
).split()


def vocabulary() -> list[str]:
    """The pieces in order of their token ids: specials, 256 bytes, characters, then words grown letter by letter.

    A SentencePiece (BPE) tokenizer only ever joins two neighbours into a piece it knows, so each beginning of a word
    must be a piece itself or the word is never found. There are no duplicates: llama.cpp aborts on them.
    """
    pieces = [*SPECIAL_TOKENS, *(f"<0x{value:02X}>" for value in range(256))]
    pieces += ["▁", *string.ascii_letters, *string.digits, *".,:;!?'\"()-+*/=_"]
    pieces += sorted({f"▁{word[:end]}" for word in WORDS for end in range(1, len(word) + 1)}, key=lambda p: (len(p), p))
    return pieces


def output_scale(piece: str) -> float:
    """How strongly the last layer can ask for a piece: words often, so that a person sees words in the answers.

    Bytes and characters stay possible: an observer must survive broken UTF-8 and control characters in answers. The end
    comes often enough that some answers finish with `stop` rather than `length`.
    """
    if piece == END_OF_SEQUENCE:
        return 1.2
    if piece.startswith("▁"):
        return 1.0 if piece[1:] in WORDS else 0.0
    return 0.6


def cached_model(cache_dir: Path, *, layers: int = 2, embedding: int = 64, seed: int = DEFAULT_SEED) -> Path:
    """Path of the model in `cache_dir`, written there first when it is missing.

    Raises StartupError when the demo extra is not installed or the directory cannot be written.
    """
    path = cache_dir / f"tiny-llama-v1-{layers}x{embedding}-{seed}.gguf"
    if not path.exists():
        write_model(path, layers=layers, embedding=embedding, seed=seed)
    return path


def write_model(path: Path, *, layers: int = 2, embedding: int = 64, seed: int = DEFAULT_SEED) -> None:
    """Write the model to `path`, whole or not at all; equal arguments give equal bytes.

    `embedding` is the width, a multiple of 8 (4 heads of an even size). 0.8 MB at 2 x 64, 17 MB at 6 x 256.
    Raises StartupError when the demo extra is not installed or the file cannot be written.
    """
    gguf, numpy = extra("gguf"), extra("numpy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise StartupError(f"cannot write the demo model in {path.parent}: {error.strerror}") from error
    os.close(handle)
    try:
        _write(gguf, numpy, Path(temporary), layers=layers, embedding=embedding, seed=seed)
        Path(temporary).replace(path)
    except OSError as error:
        raise StartupError(f"cannot write the demo model {path}: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def extra(module: str) -> ModuleType:
    """Import a module of the `demo` extra; raises StartupError that names the extra when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise StartupError(f"the demo needs {module}: pip install '.[demo]' in a checkout") from error


def _write(gguf: Any, numpy: Any, path: Path, *, layers: int, embedding: int, seed: int) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    _add_architecture(writer, layers=layers, embedding=embedding)
    _add_tokenizer(writer)
    random = numpy.random.Generator(numpy.random.PCG64(seed))
    for name, shape in tensor_shapes(layers=layers, embedding=embedding, vocabulary_size=len(vocabulary())):
        weights = random.standard_normal(shape, dtype=numpy.float32) * numpy.float32(shape[-1] ** -0.5)
        if name.endswith("_norm.weight"):
            weights = numpy.ones(shape, dtype=numpy.float32)
        elif name == "output.weight":
            weights *= numpy.array([[output_scale(piece)] for piece in vocabulary()], dtype=numpy.float32)
        writer.add_tensor(name, weights)
    with closing(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()


def _add_architecture(writer: Any, *, layers: int, embedding: int) -> None:
    writer.add_name("tiny-llama")
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(embedding)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * embedding)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(embedding // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(0)  # all float32


def _add_tokenizer(writer: Any) -> None:
    pieces = vocabulary()
    unknown, control, byte, normal = 2, 3, 6, 1  # llama.cpp's token types
    types = [unknown, control, control] + [byte] * 256
    writer.add_tokenizer_model("llama")
    writer.add_token_list(pieces)
    writer.add_token_scores([float(-index) for index in range(len(pieces))])
    writer.add_token_types(types + [normal] * (len(pieces) - len(types)))
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)


def tensor_shapes(*, layers: int, embedding: int, vocabulary_size: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes (rows, columns) of all tensors of a llama model, in the order they are written."""
    square, wide = (embedding, embedding), (2 * embedding, embedding)
    block = {
        "attn_norm": (embedding,),
        "attn_q": square,
        "attn_k": square,
        "attn_v": square,
        "attn_output": square,
        "ffn_norm": (embedding,),
        "ffn_gate": wide,
        "ffn_up": wide,
        "ffn_down": (embedding, 2 * embedding),
    }
    shapes: list[tuple[str, tuple[int, ...]]] = [("token_embd.weight", (vocabulary_size, embedding))]
    for layer in range(layers):
        shapes += [(f"blk.{layer}.{name}.weight", shape) for name, shape in block.items()]
    shapes += [("output_norm.weight", (embedding,)), ("output.weight", (vocabulary_size, embedding))]
    return shapes
