"""Dockerfile: what it copies is enough, what runs is small and harmless, and its health check tells well from ill."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.config import load as load_settings
from tests.deploy.files import ROOT, project
from tests.end_to_end.sidecar import Sidecar

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8")
HEALTH_CHECK = ROOT / "deploy" / "docker" / "healthcheck.py"
LISTEN = "LLAMA_EXPORTER_ADMIN__LISTEN"


def copied(dockerfile: str) -> list[str]:
    """What is taken from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
    return [word.removeprefix("./") for line in lines for word in line.split()[:-1]]


def variables(dockerfile: str) -> dict[str, str]:
    """What `ENV` sets in the image."""
    (block,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", dockerfile, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())


def sent(ignore: str, path: str) -> bool:
    """Whether a file or folder is part of what Docker is sent; the last line that fits counts."""
    kept = True
    for line in ignore.splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/")):
            kept = line.startswith("!")
    return kept


def missing(dockerfile: str, ignore: str) -> list[str]:
    """What is copied and does not exist, or is not sent to Docker."""
    return [path for path in copied(dockerfile) if not (ROOT / path).exists() or not sent(ignore, path)]


def test_what_it_copies_is_there() -> None:
    assert set(copied(DOCKERFILE)) > {"pyproject.toml", "constraints.txt", "exporter"}
    assert missing(DOCKERFILE, IGNORED) == []
    assert missing(DOCKERFILE.replace("COPY exporter", "COPY exporters"), IGNORED) == ["exporters"]
    assert missing(DOCKERFILE, IGNORED.replace("!exporter\n", "")) == ["exporter"]


@pytest.mark.parametrize("path", [".git", ".venv", "tests", "docs", "models/model.gguf", ".env", "exporter/x.pyc"])
def test_nothing_else_is_sent_to_docker(path: str) -> None:
    assert not sent(IGNORED, path)
    assert sent("", path)


def test_what_it_copies_is_what_the_build_reads() -> None:
    metadata = project()
    assert {metadata["readme"], *metadata["license-files"], "pyproject.toml"} < set(copied(DOCKERFILE))


def test_the_package_works_without_the_rest_of_the_repository(tmp_path: Path) -> None:
    for path in copied(DOCKERFILE):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, tmp_path / path)
    program = (
        "import exporter, exporter.app; from exporter.cli import main; print(exporter.__file__); main(['check-config'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(tmp_path / "exporter" / "__init__.py")


def test_both_stages_begin_with_the_same_exact_python() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    assert len(set(images)) == 1  # the virtual environment refers to the interpreter
    version = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-\w+", images[0])
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in project()["classifiers"]


def test_what_runs_is_no_root_and_installs_nothing() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["65532:65532"]
    assert not re.search(r"^(RUN|ADD)\b|\bpip\b", final, re.MULTILINE)


def test_its_user_can_write_its_history_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """`COPY` cannot make a folder, so the first stage does; `VOLUME` keeps what is in it by then."""
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    (made,) = re.findall(r"mkdir -m 700 (\S+)", DOCKERFILE.removesuffix(final))
    (user,) = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    ((owner, source, folder),) = re.findall(r"^COPY --from=build --chown=(\S+) (\S+) (\S+)$", final, re.MULTILINE)
    assert (owner, source) == (user, made)
    assert re.findall(r"^VOLUME (.+)$", final, re.MULTILINE) == [folder]
    assert final.index("COPY --from=build --chown") < final.index("VOLUME")
    for name, value in variables(DOCKERFILE).items():
        monkeypatch.setenv(name, value)
    assert load_settings().store.place == f"sqlite:///{folder}/history.db"


def test_it_has_what_every_store_and_every_receiver_needs() -> None:
    (extras,) = re.findall(r"print\(\*project\['dependencies'\], (.*), sep=", DOCKERFILE)
    assert set(re.findall(r"\*extras\['(\w+)'\]", extras)) == {"postgresql", "redis", "grpc"}
    assert {"postgresql", "redis", "grpc"} <= set(project()["optional-dependencies"])


def test_its_label_has_the_version() -> None:
    assert f'org.opencontainers.image.version="{project()["version"]}"' in DOCKERFILE


def test_its_variables_are_settings_that_fit_its_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(DOCKERFILE).items():
        if name.startswith("LLAMA_EXPORTER_"):
            monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.proxy.listen == "0.0.0.0:8001"
    assert settings.admin.listen == ("0.0.0.0:9464",)
    assert re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE) == ["8001 9464"]


def check_health(listen: str | None) -> subprocess.CompletedProcess[str]:
    """Run the health check as the image does, with this interpreter."""
    (command,) = re.findall(r"^HEALTHCHECK .*CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    (python, *options, script) = json.loads(command)
    assert (python, Path(script).name) == ("python", HEALTH_CHECK.name)
    environment = {"PATH": os.defpath, **({LISTEN: listen} if listen else {})}
    words = [sys.executable, *options, str(HEALTH_CHECK)]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_its_health_check_asks_the_admin_listener(free_port: int) -> None:
    with Sidecar("--upstream", "http://127.0.0.1:9", "--admin-listen", f"127.0.0.1:{free_port}") as sidecar:
        for listen in (f"0.0.0.0:{free_port}", f"[::]:{free_port}, 127.0.0.1:1", f'["0.0.0.0:{free_port}", "[::1]:1"]'):
            done = check_health(listen)
            assert (done.returncode, done.stderr) == (0, ""), listen
        proxy = check_health(sidecar.proxy.removeprefix("http://"))
        assert (proxy.returncode, proxy.stderr.strip()) == (1, "not healthy: /-/healthy answered 502")
    assert check_health(f"0.0.0.0:{free_port}").returncode == 1


def test_its_health_check_says_what_is_wrong() -> None:
    assert "has no port" in check_health("0.0.0.0").stderr
    assert "not healthy: " in check_health("127.0.0.1:1").stderr
