"""Whether llama-server can be started here, said in one line that names the setting; and how it is started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.errors import StartupError
from exporter.models.model import FailedError
from exporter.models.server.launch import Launch
from tests.models.managing import make_launch


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "llama-server"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def refused(launch: Launch) -> str:
    with pytest.raises(StartupError) as caught:
        launch.check()
    message = str(caught.value)
    assert "\n" not in message
    return message


def make(binary: Path, **others: Any) -> Launch:
    return make_launch(binary, binary.parent, **others)


def test_what_can_be_started_is_not_refused(binary: Path) -> None:
    launch = make(binary)
    launch.check()
    assert not launch.preset_file.exists()
    launch.prepare()
    assert launch.preset_file.read_text() == ""
    launch.preset_file.write_text("[a]\n")
    launch.prepare()
    assert launch.preset_file.read_text() == "[a]\n"


def test_the_file_of_presets_is_our_users_alone(binary: Path) -> None:
    launch = make(binary, preset_file=binary.parent / "new" / "models.ini")
    launch.check()
    launch.prepare()
    assert launch.preset_file.stat().st_mode & 0o777 == 0o600
    assert launch.preset_file.parent.stat().st_mode & 0o777 == 0o700


def test_the_file_of_presets_is_put_right_before_each_start(binary: Path) -> None:
    path = binary.parent / "models.ini"
    launch = make(binary, restore_preset=lambda: path.write_text("[a]\n"))
    for _ in range(2):
        launch.prepare()
        assert path.read_text() == "[a]\n"
        path.unlink()


def test_a_file_of_presets_that_is_not_ours(binary: Path) -> None:
    def refuse() -> None:
        raise FailedError("/x.ini is not ours")

    with pytest.raises(StartupError, match=r"models.preset_file: /x.ini is not ours"):
        make(binary, restore_preset=refuse).prepare()


def test_the_command_says_nothing_of_models(binary: Path) -> None:
    launch = make(binary, arguments=("--log-colors", "off"), api_key="geheim")
    host, port = launch.url.removeprefix("http://").split(":")
    assert launch.command(7) == [
        str(binary), "--host", host, "--port", port, "--models-preset", str(launch.preset_file), "--models-max", "7",
        "--log-colors", "off",
    ]  # fmt: skip


def test_an_address_of_ipv6_and_no_port(binary: Path) -> None:
    assert make(binary, url="http://[::1]").command(4)[1:5] == ["--host", "::1", "--port", "80"]


def test_the_environment_is_passed_on_without_our_settings(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_CACHE", "/cache")
    monkeypatch.setenv("LLAMA_API_KEY", "another")
    monkeypatch.setenv("LLAMA_EXPORTER_LOG__LEVEL", "info")
    environment = make(binary, api_key="geheim").environment()
    assert (environment["LLAMA_CACHE"], environment["LLAMA_API_KEY"]) == ("/cache", "geheim")
    assert "LLAMA_EXPORTER_LOG__LEVEL" not in environment
    assert make(binary).environment()["LLAMA_API_KEY"] == "another"


def test_a_name_without_a_folder_is_looked_for_on_the_path(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launch = make_launch("llama-server", binary.parent)
    monkeypatch.setenv("PATH", f"/nowhere:{binary.parent}")
    assert launch.command(4)[0] == str(binary)
    monkeypatch.setenv("PATH", "/nowhere")
    assert refused(launch) == "models.llama_server: llama-server: it is not on the path (PATH)"


def test_a_tilde_is_the_home(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(binary.parent))
    assert make_launch("~/llama-server", binary.parent).command(4)[0] == str(binary)


def test_a_binary_that_is_none(binary: Path) -> None:
    binary.chmod(0o644)
    for path, why in (
        (binary, "it is not executable"),
        (binary.parent, "it is a folder; name the program in it"),
        (binary / "x", "there is no such file"),
        (binary.parent / "nope", "there is no such file"),
    ):
        assert refused(make_launch(path, binary.parent)) == f"models.llama_server: {path}: {why}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-t", "2", "--port", "1"), "--port is set by llama-exporter itself"),
        (("--host", "h"), "--host is set by llama-exporter itself"),
        (("--models-preset=x",), "--models-preset is set by llama-exporter itself"),
        (("--models-max", "1"), "--models-max is set by llama-exporter itself"),
        (("--models-dir", "/m"), "--models-dir is set by llama-exporter itself"),
        (("--api-key", "geheim"), "--api-key is set by llama-exporter itself"),
        (("-m", "x.gguf"), "with -m llama-server would serve one model, and have no router"),
        (("-hf", "a/b"), "with -hf llama-server would serve one model, and have no router"),
    ],
)
def test_arguments_that_are_ours(binary: Path, arguments: tuple[str, ...], why: str) -> None:
    assert refused(make(binary, arguments=arguments)) == f"models.arguments: {why}"


def test_a_variable_with_which_there_is_no_router(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_MODEL", "x.gguf")
    why = "with LLAMA_ARG_MODEL llama-server would serve one model, and have no router; unset it"
    assert refused(make(binary)) == f"environment: {why}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:1", "models.llama_server is started without TLS; write http://"),
        ("http://127.0.0.1:1/x", "models.llama_server is started without a path; leave it out"),
        ("http://no-such-host.invalid:8080", "the host name is not known"),
        ("http://192.0.2.1:8080", "this machine has no such address; models.llama_server is to be started there"),
    ],
)
def test_an_address_at_which_it_cannot_be_started(binary: Path, url: str, why: str) -> None:
    assert refused(make(binary, url=url)) == f"upstreams[1].url: {url}: {why}"


def test_a_port_that_is_taken(binary: Path, taken: int) -> None:
    why = "the port is in use by another process; models.llama_server is to be started there"
    for host in ("127.0.0.1", "0.0.0.0"):
        url = f"http://{host}:{taken}"
        assert refused(make(binary, url=url)) == f"upstreams[1].url: {url}: {why}"
    with pytest.raises(StartupError, match="in use"):
        make(binary, url=f"http://127.0.0.1:{taken}").prepare()


def test_a_port_whose_last_connections_linger_is_free(binary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    make(binary, url=f"http://127.0.0.1:{port}").check()


def test_a_file_of_presets_that_cannot_be_written(binary: Path) -> None:
    assert refused(make(binary, preset_file=binary.parent)) == (
        f"models.preset_file: {binary.parent}: it is a folder; name a file"
    )
    beneath = binary / "models.ini"
    assert refused(make(binary, preset_file=beneath)) == (
        f"models.preset_file: {beneath}: the folder cannot be written to (file exists)"
    )


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="root can write anywhere")
def test_a_folder_of_presets_that_nobody_can_write_to(binary: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/self")  # Not even root.
    else:
        folder = binary.parent / "closed"
        folder.mkdir(mode=0o500)
    message = refused(make(binary, preset_file=folder / "models.ini"))
    assert message.startswith(f"models.preset_file: {folder}/models.ini: the folder cannot be written to (")


def test_a_folder_of_presets_that_is_not_there_is_made(binary: Path) -> None:
    launch = make(binary, preset_file=binary.parent / "a" / "b" / "models.ini")
    launch.check()
    launch.prepare()
    assert launch.preset_file.exists()
