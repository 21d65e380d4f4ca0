"""The 35 parameters that can be set for a model: the table that `parameters` looks into.

Defaults are llama-server's. Ranges leave out what it does not survive, for it checks few values by itself.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.models.parameters.parameter import Category, Parameter

LONGEST_CONTEXT = 10_485_760
"""Tokens; the most that models are trained for."""
MOST_THREADS = 512
"""That llama.cpp has room for."""
CATEGORIES = (
    Category("model", "Model Parameters", "Parameters affecting model behavior"),
    Category("system", "System Parameters", "System-level configuration"),
    Category("performance", "Performance Parameters", "Performance and optimization settings"),
)


class _Place(NamedTuple):
    """A group of a category; makes its parameters. Their names are their options in snake case, unless said."""

    category: str
    group: str

    def number(
        self,
        option: str,
        default: float,
        scale: tuple[float, float, float],
        description: str,
        *aliases: str,
        name: str | None = None,
    ) -> Parameter:
        names = name or _snake(option), option
        return Parameter(*names, *self, "number", default, *scale, (), description, aliases)

    def integer(
        self,
        option: str,
        default: int,
        scale: tuple[int, int, int],
        description: str,
        *aliases: str,
        name: str | None = None,
        gap: tuple[int, int] | None = None,
    ) -> Parameter:
        names = name or _snake(option), option
        return Parameter(*names, *self, "integer", default, *scale, (), description, aliases, gap)

    def word(self, option: str, choices: tuple[str, ...], default: str, description: str, *aliases: str) -> Parameter:
        """One of some words."""
        none = None, None, None
        return Parameter(_snake(option), option, *self, "string", default, *none, choices, description, aliases)

    def kind(self, option: str, choices: range, description: str, *aliases: str) -> Parameter:
        """One of some whole numbers that each mean something; by default 0."""
        scale = choices[0], choices[-1], 1
        return Parameter(_snake(option), option, *self, "integer", 0, *scale, tuple(choices), description, aliases)

    def truth(self, option: str, default: bool, description: str, *aliases: str) -> Parameter:
        none = None, None, None
        return Parameter(_snake(option), option, *self, "boolean", default, *none, (), description, aliases)


def _snake(option: str) -> str:
    return option.replace("-", "_")


_generation = _Place("model", "generation")
_sampling = _Place("model", "sampling")
_penalties = _Place("model", "penalties")
_mirostat = _Place("model", "mirostat")
_cpu = _Place("system", "cpu")
_memory = _Place("system", "memory")
_http = _Place("system", "http")
_context = _Place("performance", "context")
_batching = _Place("performance", "batching")
_gpu = _Place("performance", "gpu")
_cache = _Place("performance", "cache")
_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
_SHARE = (0.0, 1.0, 0.01)

PARAMETERS = (
    _sampling.number(
        "temperature", 0.8, (0.0, 2.0, 0.05), "How random answers are; 0 always takes the likeliest token.", "temp"
    ),
    _generation.integer(
        "n-predict",
        -1,
        (-1, LONGEST_CONTEXT, 1),
        "Most tokens of an answer; -1 sets no limit.",
        "predict",
        name="max_tokens",
    ),
    _sampling.number(
        "top-p", 0.95, _SHARE, "Choose among the likeliest tokens that together have this probability; 1 turns it off."
    ),
    _sampling.integer("top-k", 40, (0, 1000, 1), "Choose among this many of the likeliest tokens; 0 turns it off."),
    _sampling.number(
        "min-p",
        0.05,
        _SHARE,
        "Leave out tokens that are less likely than this share of the likeliest one; 0 turns it off.",
    ),
    _sampling.number(
        "typical-p", 1.0, _SHARE, "Prefer tokens that are about as surprising as expected; 1 turns it off.", "typical"
    ),
    _sampling.number(
        "top-n-sigma",
        -1.0,
        (-1.0, 10.0, 0.1),
        "Leave out tokens this many standard deviations below the best; -1 turns it off.",
        "top_nsigma",
    ),
    _penalties.number(
        "repeat-penalty",
        1.0,
        (0.01, 2.0, 0.05),
        "Make tokens that occurred lately less likely; 1 turns it off.",
        "repetition_penalty",
    ),
    _penalties.integer(
        "repeat-last-n",
        64,
        (0, LONGEST_CONTEXT, 1),
        "How many of the last tokens the penalties look at; 0 turns them off.",
    ),
    _penalties.number(
        "presence-penalty", 0.0, (-2.0, 2.0, 0.1), "Make tokens that occurred at all less likely; below 0 more likely."
    ),
    _penalties.number(
        "frequency-penalty",
        0.0,
        (-2.0, 2.0, 0.1),
        "Make tokens less likely the more often they occurred; below 0 more likely.",
    ),
    _mirostat.kind(
        "mirostat", range(3), "Sample by Mirostat, version 1 or 2, instead of the other ways; 0 turns it off."
    ),
    _mirostat.number("mirostat-lr", 0.1, _SHARE, "How fast Mirostat corrects itself (eta).", name="mirostat_eta"),
    _mirostat.number(
        "mirostat-ent", 5.0, (0.0, 10.0, 0.1), "The surprise that Mirostat aims at (tau).", name="mirostat_tau"
    ),
    _generation.integer(
        "seed", -1, (-1, 2**32 - 1, 1), "The same seed repeats the same answer; -1 takes another one each time."
    ),
    _cpu.integer(
        "threads",
        -1,
        (-1, MOST_THREADS, 1),
        "CPU threads that generate tokens; -1 lets llama-server choose.",
        "n_threads",
    ),
    _cpu.integer(
        "threads-batch",
        -1,
        (-1, MOST_THREADS, 1),
        "CPU threads that process prompts; -1 takes as many as for tokens.",
        "n_threads_batch",
    ),
    _cpu.kind(
        "prio", range(-1, 4), "Priority of the process: -1 low, 0 normal, 1 medium, 2 high, 3 real time.", "priority"
    ),
    _cpu.integer("poll", 50, (0, 100, 1), "How eagerly threads wait for work: 0 lets them sleep, 100 keeps CPUs busy."),
    _memory.word(
        "load-mode",
        ("auto", "none", "mmap", "mlock", "mmap+mlock", "dio"),
        "auto",
        "How the file gets into memory: mapped, locked there, both, or read directly.",
    ),
    _memory.integer(
        "cache-ram",
        8192,
        (-1, 1_048_576, 1),
        "Most memory (MiB) for earlier prompts; -1 sets no limit, 0 turns it off.",
    ),
    _http.integer(
        "threads-http",
        -1,
        (-1, 64, 1),
        "Threads that answer HTTP requests; -1 lets llama-server choose.",
        "n_threads_http",
    ),
    _http.integer("timeout", 3600, (1, 86_400, 1), "Seconds after which a connection that stands still is closed."),
    _context.integer(
        "ctx-size",
        0,
        (0, LONGEST_CONTEXT, 256),
        "Tokens of context, of all slots together; 0 takes what the model was trained with.",
        "context_size",
        "context_length",
        name="n_ctx",
        gap=(1, 255),
    ),
    _gpu.integer(
        "n-gpu-layers",
        -1,
        (-1, 999, 1),
        "Layers that are kept on the GPU; -1 takes as many as fit, 0 none.",
        "gpu_layers",
        "ngl",
    ),
    _gpu.word(
        "flash-attn",
        ("auto", "on", "off"),
        "auto",
        "Compute attention with less memory (Flash Attention).",
        "flash_attention",
    ),
    _gpu.truth("kv-offload", True, "Keep the cache of the context on the GPU."),
    _batching.integer(
        "batch-size", 2048, (32, 16_384, 32), "Most tokens of prompts that are scheduled at once.", "n_batch"
    ),
    _batching.integer(
        "ubatch-size", 512, (1, 16_384, 1), "Most tokens that are computed at once, no more than the batch.", "n_ubatch"
    ),
    _batching.integer(
        "parallel",
        -1,
        (-1, 256, 1),
        "Slots: requests that are answered at once; -1 lets llama-server choose.",
        "n_parallel",
        gap=(0, 0),
    ),
    _batching.truth("cont-batching", True, "Let requests join while others are being answered.", "continuous_batching"),
    _cache.word("cache-type-k", _CACHE_TYPES, "f16", "How precisely keys are kept in the cache of the context."),
    _cache.word(
        "cache-type-v",
        _CACHE_TYPES,
        "f16",
        "How precisely values are kept there; below 16 bits only with Flash Attention.",
    ),
    _cache.truth("cache-prompt", True, "Compute only what of a prompt differs from the last one in its slot."),
    _cache.integer(
        "cache-reuse",
        0,
        (0, LONGEST_CONTEXT, 1),
        "Fewest equal tokens further on in a prompt that are taken from the cache; 0 turns it off.",
    ),
)
"""In the order in which they are shown."""
