"""What is needed to start llama-server in router mode, and whether that can work here. `managed` starts it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from exporter.config import environment_without_settings
from exporter.errors import StartupError
from exporter.listeners import explain
from exporter.models.model import FailedError

BINARY, ARGUMENTS, PRESET = "models.llama_server", "models.arguments", "models.preset_file"
URL = "upstreams[1].url"
OURS = frozenset(("--host", "--port", "--models-preset", "--models-max", "--models-dir", "--api-key"))
"""Arguments that only we give."""
ONE_MODEL = frozenset(
    ("-m", "--model", "-mu", "--model-url", "-dr", "--docker-repo", "-hf", "-hfr", "--hf-repo", "-hff", "--hf-file")
)
"""With one of these there is no router mode."""
ONE_MODEL_VARIABLES = ("LLAMA_ARG_MODEL", "LLAMA_ARG_MODEL_URL", "LLAMA_ARG_DOCKER_REPO", "LLAMA_ARG_HF_REPO")
KEY_VARIABLE = "LLAMA_API_KEY"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start, and where. Whatever is said of models on the command line would overrule each model's own
    options, so nothing is, unless the operator does."""

    binary: str
    url: str
    """Of the first upstream."""
    preset_file: Path
    models_max: Callable[[], int]
    """Asked at each start."""
    restore_preset: Callable[[], None] | None = None
    """Puts the file of presets right, from a thread; raises FailedError. None: an empty one is made where there is no
    file."""
    arguments: Sequence[str] = ()
    api_key: str | None = None

    def check(self) -> None:
        """Whether it can be started. Raises StartupError that names the setting."""
        self.program()
        self._check_arguments()
        self._check_url()
        self._check_preset()
        self.check_port()

    def program(self) -> str:
        """The binary's absolute path. Raises StartupError."""
        path = os.path.expanduser(self.binary)
        if os.sep not in path:
            found = shutil.which(path, path=environment_without_settings().get("PATH", os.defpath))
            if found is None:
                raise StartupError(f"{BINARY}: {self.binary}: it is not on the path (PATH)")
            path = found
        if os.path.isdir(path):
            raise StartupError(f"{BINARY}: {self.binary}: it is a folder; name the program in it")
        if not os.path.exists(path):
            raise StartupError(f"{BINARY}: {self.binary}: there is no such file")
        if not os.access(path, os.X_OK):
            raise StartupError(f"{BINARY}: {self.binary}: it is not executable")
        return os.path.abspath(path)

    def check_port(self) -> None:
        """Whether it could listen there now. Raises StartupError."""
        host, port = self._address()
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError:
            raise StartupError(f"{URL}: {self.url}: the host name is not known") from None
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise StartupError(f"{URL}: {self.url}: {explain(error)}; {BINARY} is to be started there") from None

    def prepare(self) -> None:
        """Just before a start: the port is free, and the file of presets is there. Blocks. Raises StartupError,
        OSError."""
        self.check_port()
        if self.restore_preset is None:
            self.preset_file.touch(mode=0o600)
            return
        try:
            self.restore_preset()
        except FailedError as error:
            raise StartupError(f"{PRESET}: {error}") from None

    def command(self, models_max: int) -> list[str]:
        """What to run. Raises StartupError when the binary has vanished."""
        host, port = self._address()
        where = ["--host", host, "--port", str(port)]
        models = ["--models-preset", str(self.preset_file), "--models-max", str(models_max)]
        return [self.program(), *where, *models, *self.arguments]

    def environment(self) -> dict[str, str]:
        """Ours without our settings; the key is there, where no list of processes shows it."""
        key = {} if self.api_key is None else {KEY_VARIABLE: self.api_key}
        return environment_without_settings() | key

    def _address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def _check_arguments(self) -> None:
        for argument in self.arguments:
            flag = argument.partition("=")[0]
            if flag in OURS:
                raise StartupError(f"{ARGUMENTS}: {flag} is set by llama-exporter itself")
            if flag in ONE_MODEL:
                raise StartupError(f"{ARGUMENTS}: with {flag} llama-server would serve one model, and have no router")
        environment = environment_without_settings()
        for name in ONE_MODEL_VARIABLES:
            if environment.get(name):
                raise StartupError(
                    f"environment: with {name} llama-server would serve one model, and have no router; unset it"
                )

    def _check_url(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme != "http":
            raise StartupError(f"{URL}: {self.url}: {BINARY} is started without TLS; write http://")
        if parts.path.strip("/"):
            raise StartupError(f"{URL}: {self.url}: {BINARY} is started without a path; leave it out")

    def _check_preset(self) -> None:
        if self.preset_file.is_dir():
            raise StartupError(f"{PRESET}: {self.preset_file}: it is a folder; name a file")
        folder = self.preset_file.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StartupError(f"{PRESET}: {self.preset_file}: the folder cannot be written to ({reason})") from None
