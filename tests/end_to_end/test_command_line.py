"""What an operator meets first: help, errors at start, and the end of the process."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from exporter import __version__
from tests.end_to_end.sidecar import Sidecar, run_cli

NOBODY = "http://127.0.0.1:9"


def test_version() -> None:
    answer = run_cli("--version")
    assert (answer.returncode, answer.stdout) == (0, f"llama-exporter {__version__}\n")


@pytest.mark.parametrize("command", ["serve", "demo", "check-config", "print-config"])
def test_help_of_each_command(command: str) -> None:
    answer = run_cli(command, "--help")
    assert answer.returncode == 0
    assert answer.stdout.startswith(f"usage: llama-exporter {command}")
    assert max(map(len, answer.stdout.splitlines())) <= 120


def refused(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """The one line on standard error of a command that must end with code 2."""
    answer = run_cli(*arguments, environment=environment)
    assert answer.returncode == 2, answer.stderr
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    return line


def test_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refused("serve", "--upstream", NOBODY, "--proxy-listen", address)
    assert line == f"llama-exporter: proxy.listen: {address}: the port is in use by another process"


def test_address_of_another_machine() -> None:
    line = refused("serve", "--admin-listen", "192.0.2.1:9464", "--proxy-listen", "127.0.0.1:0")
    assert line == "llama-exporter: admin.listen: 192.0.2.1:9464: this machine has no such address"


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "exporter.toml"
    file.write_text('[proxy]\nlisen = "127.0.0.1:1"\n')
    line = refused("serve", "--config", str(file))
    assert line == f"llama-exporter: {file}: unknown setting proxy.lisen; did you mean listen?"


def test_unreadable_file(tmp_path: Path) -> None:
    line = refused("check-config", "--config", str(tmp_path / "none.toml"))
    assert line == f"llama-exporter: {tmp_path / 'none.toml'}: cannot be read (no such file or directory)"


def test_bad_url() -> None:
    line = refused("serve", "--upstream", "localhost:8080")
    assert line == "llama-exporter: command line: upstreams[1].url: it must look like http://127.0.0.1:8080"


def test_unknown_environment_variable() -> None:
    line = refused("check-config", environment={"LLAMA_EXPORTER_PROXY__LISTN": ":1"})
    assert line == (
        "llama-exporter: environment: unknown setting LLAMA_EXPORTER_PROXY__LISTN; "
        "did you mean LLAMA_EXPORTER_PROXY__LISTEN?"
    )


@pytest.mark.parametrize("command", ["serve", "check-config"])
def test_a_variable_of_opentelemetry_that_is_wrong(command: str) -> None:
    line = refused(command, environment={"OTEL_TRACES_EXPORTER": "otpl"})
    assert line == (
        "llama-exporter: environment: OTEL_TRACES_EXPORTER: 'otpl' is none of console, logging, none, otlp; "
        "did you mean otlp?"
    )


def test_check_config_and_print_config_hide_secrets(tmp_path: Path) -> None:
    secret = "geheim-7f3a"
    answer = run_cli("print-config", environment={"PROXY_API_KEY": secret})
    assert answer.returncode == 0
    assert secret not in answer.stdout + answer.stderr
    file = tmp_path / "again.toml"
    file.write_text(answer.stdout)
    again = run_cli("check-config", "--config", str(file))
    assert (again.returncode, again.stdout) == (0, "the settings are valid; upstreams: llama-server\n")


def test_upstream_missing_at_start_is_no_error() -> None:
    with Sidecar("--upstream", NOBODY) as sidecar:
        answer = httpx.post(f"{sidecar.proxy}/v1/chat/completions", json={"messages": []})
        assert answer.status_code == 502
        error = answer.json()["error"]
        assert error["type"] == "upstream_unreachable"
        assert error["message"] == "upstream 'llama-server' cannot be reached: connection refused"
        sidecar.wait_until(lambda: "reason" in httpx.get(f"{sidecar.admin}/-/ready").text)
        ready = httpx.get(f"{sidecar.admin}/-/ready")
        assert ready.status_code == 503
        assert ready.json()["upstreams"]["llama-server"]["state"] == "unreachable"


def test_sigterm_finishes_what_is_in_flight() -> None:
    with StalledUpstream() as upstream, Sidecar("--upstream", upstream.url) as sidecar:
        answers: list[httpx.Response] = []
        client = threading.Thread(target=lambda: answers.append(httpx.get(f"{sidecar.proxy}/slow", timeout=30)))
        client.start()
        upstream.asked.wait(5)
        sidecar.process.send_signal(signal.SIGTERM)
        sidecar.wait_until(lambda: any(e["message"] == "finishing what is in flight" for e in sidecar.log))
        upstream.release.set()
        client.join()
        assert answers[0].text == "done"
        assert sidecar.process.wait(10) == 0


def test_second_signal_ends_at_once() -> None:
    with StalledUpstream() as upstream, Sidecar("--upstream", upstream.url, "--log-level", "debug") as sidecar:
        answers: list[httpx.Response] = []
        client = threading.Thread(target=lambda: answers.append(httpx.get(f"{sidecar.proxy}/slow", timeout=30)))
        client.start()
        upstream.asked.wait(5)
        sidecar.process.send_signal(signal.SIGTERM)
        sidecar.wait_until(lambda: any(e["message"] == "finishing what is in flight" for e in sidecar.log))
        assert sidecar.stop(signal.SIGTERM, timeout_seconds=5) == 0
        client.join()
        assert (answers[0].status_code, answers[0].json()["error"]["type"]) == (503, "shutting_down")
        sidecar.wait_until(lambda: any(e["message"] == "request" for e in sidecar.log))
        (record,) = [entry for entry in sidecar.log if entry["message"] == "request"]
        assert (record["path"], record["outcome"]) == ("/slow", "timeout")


class StalledUpstream:
    """Answers one request, when it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.release = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> StalledUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            head = connection.recv(65536)
            if not head.startswith(b"GET /slow"):  # the sidecar's own polls
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            self.asked.set()
            self.release.wait(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
