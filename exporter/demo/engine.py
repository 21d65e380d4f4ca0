"""The real llama.cpp server, from PyPI's `xllamacpp`, in a process of its own.

`demo.run` and the tests start it with `Engine`; `python -m exporter.demo.engine --model FILE` is the other side of
that, and can be run by hand: it serves until its standard input ends. What matters to its callers (seen on xllamacpp
2026.10, and the same on llama-server build 11434):

- It closes a connection after 5 s without a request, with its 100th answer (that one says `Connection: close`), after
  each error (so do those), and after each *streamed* answer, although that one says `Keep-Alive: timeout=5, max=100`.
- A client that leaves is noticed only when a streamed chunk cannot be written: the work of an answer that is not
  streamed, and the whole prefill of one that is, goes on to its end, and is counted in its metrics
  (https://github.com/ggml-org/llama.cpp/issues/24496).
- A `/v1/messages` stream has no `message_start` when the first token is part of a character (7 of 100 with this model).
- It tells of drafts in `timings`, which answers of `/v1/messages`, and of `/v1/responses` without a stream, lack.
- It has no router mode.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.demo.model import DEFAULT_SEED, extra
from exporter.demo.process import Child, end_with_parent, http_status

READY = "engine listening on "
ERRORS_ONLY = 1
"""Verbosity: at 0 llama.cpp keeps even the reason to itself, at 3 it logs each request."""
ACCEPTANCE = (0.8, 0.6, 0.5, 0.4)
"""How often the first, second, ... token of a draft is accepted. Models of random weights never agree, so that no draft
would ever be; llama.cpp can be told to draw lots instead of comparing (its synthetic acceptance), and is."""
PROMPT_CACHE_MIB = 64
"""Main memory for prompts that no slot holds any more; llama.cpp's 8 GiB would be full after an hour of the demo."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the engine is started."""

    model: Path
    draft: Path | None = None
    """A smaller model with the same tokens, which drafts for the other (speculative decoding, see `ACCEPTANCE`)."""
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one; `Engine.url` tells which."""
    parallel: int = 4
    """Slots: requests that are worked on at once."""
    context_size: int = 2048
    """Tokens of prompt and answer per slot. A longer prompt is refused with 400."""
    embedding: bool = False
    """Serve embeddings, mean-pooled; chat and completions work all the same."""
    reranking: bool = False
    """Serve reranking; embeddings make no sense then."""
    alias: str = "tiny"
    """Model name in answers and in `/v1/models`."""
    seed: int = DEFAULT_SEED
    """Sampling seed of requests that bring none."""
    threads: int = 1
    metrics: bool = True
    """Whether `/metrics` is served (501 otherwise)."""
    slots: bool = True
    """Whether `/slots` is served (501 otherwise)."""
    props: bool = True
    """Whether `/props` may be written to."""


class Engine(Child):
    """A running llama.cpp server: `with Engine(options) as engine: engine.url`, or `async with`.

    Starting raises StartupError when the demo extra is not installed, or with what llama.cpp said.
    """

    def __init__(self, options: EngineOptions) -> None:
        super().__init__("engine", ["-m", "exporter.demo.engine", *to_arguments(options)])
        self.options = options
        self._url: str | None = None

    @property
    def url(self) -> str:
        """`http://host:port`. Raises RuntimeError when it was never ready."""
        if self._url is None:
            raise RuntimeError("the engine was not started")
        return self._url

    def start(self) -> None:
        """See `Child.start`."""
        extra("xllamacpp")
        super().start()

    def ready(self) -> bool:
        """Whether it said its address and `/health` answers 200."""
        if self._url is None:
            self._url = next((line.removeprefix(READY) for line in self.output() if line.startswith(READY)), None)
        return self._url is not None and http_status(f"{self._url}/health") == 200


def to_arguments(options: EngineOptions) -> list[str]:
    """The command line that `from_arguments` reads back."""
    arguments = [
        *("--model", str(options.model.absolute()), "--host", options.host, "--port", str(options.port)),
        *("--parallel", str(options.parallel), "--context-size", str(options.context_size)),
        *("--alias", options.alias, "--seed", str(options.seed), "--threads", str(options.threads)),
    ]
    if options.draft is not None:
        arguments += ["--draft", str(options.draft.absolute())]
    flags = {name: getattr(options, name) for name in ("embedding", "reranking", "metrics", "slots", "props")}
    return [*arguments, *(f"--{name}" if on else f"--no-{name}" for name, on in flags.items())]


def from_arguments(arguments: Sequence[str] | None = None) -> EngineOptions:
    """Read the command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m exporter.demo.engine", description="llama.cpp with a tiny model")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--alias", default="tiny")
    defaults = {"port": 0, "parallel": 4, "context-size": 2048, "seed": DEFAULT_SEED, "threads": 1}
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, on in {"embedding": False, "reranking": False, "metrics": True, "slots": True, "props": True}.items():
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=on)
    return EngineOptions(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Serve until standard input ends; 1 when llama.cpp does not start (it has said why on standard error)."""
    end_with_parent()
    options = from_arguments()
    xllamacpp = extra("xllamacpp")
    try:
        # Loads the model and binds; from then on it lives in C++ threads that need no GIL, and handles no signals. It
        # has to stay referenced, for its destructor stops the server; SIGTERM's default action ends the process.
        server = xllamacpp.Server(_parameters(xllamacpp, options))
    except RuntimeError:
        return 1
    sys.stdout.write(f"{READY}{server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()
    return 0


def _parameters(xllamacpp: Any, options: EngineOptions) -> Any:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.model)
    parameters.model_alias = {options.alias}
    parameters.hostnames = [options.host]
    parameters.port = options.port
    parameters.n_parallel = options.parallel
    parameters.n_ctx = options.context_size * options.parallel  # llama.cpp divides it among the slots
    parameters.sampling.seed = options.seed
    parameters.endpoint_metrics, parameters.endpoint_slots = options.metrics, options.slots
    parameters.endpoint_props = options.props
    parameters.verbosity = ERRORS_ONLY
    parameters.cache_ram_mib = PROMPT_CACHE_MIB
    parameters.warmup = False
    for each in (parameters, parameters.speculative.draft):
        each.n_gpu_layers = 0
        for threads in (each.cpuparams, each.cpuparams_batch):
            threads.n_threads = options.threads
            threads.poll = 0  # do not spin between tokens
    if options.draft is not None:
        _speculate(xllamacpp, parameters.speculative, options.draft)
    if options.embedding or options.reranking:
        pooling = xllamacpp.llama_pooling_type
        parameters.embedding = True
        # A llama model names no pooling itself, and without one the OpenAI endpoint answers 400.
        parameters.pooling_type = (
            pooling.LLAMA_POOLING_TYPE_RANK if options.reranking else pooling.LLAMA_POOLING_TYPE_MEAN
        )
    return parameters


def _speculate(xllamacpp: Any, parameters: Any, draft: Path) -> None:
    parameters.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
    parameters.draft.mparams.path = str(draft)
    parameters.draft.n_max = len(ACCEPTANCE)
    parameters.draft.p_min = 0.0  # a draft model of random weights is never sure
    parameters.synth_rates = list(ACCEPTANCE)


if __name__ == "__main__":
    sys.exit(main())
