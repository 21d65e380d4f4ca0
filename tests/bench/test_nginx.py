from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bench import nginx


def test_nothing_is_buffered_logged_or_closed(tmp_path: Path) -> None:
    text = nginx.config(tmp_path, 8001, 8080)
    for line in ["worker_processes 1;", "proxy_buffering off;", "proxy_http_version 1.1;", "access_log off;"]:
        assert line in text
    assert "listen 127.0.0.1:8001 " in text
    assert "server 127.0.0.1:8080;" in text


@pytest.mark.skipif(nginx.binary() is None, reason="nginx is not installed")
def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    command = nginx.command(tmp_path, 8001, 8080)
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=20, check=False)
    assert "test is successful" in done.stderr


def test_a_missing_nginx_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "binary", lambda: None)
    with pytest.raises(FileNotFoundError, match="nginx-light"):
        nginx.command(tmp_path, 8001, 8080)
