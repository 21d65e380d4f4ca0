"""nginx as the yardstick: one worker that relays everything unbuffered over keep-alive connections."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

CONFIG = """\
{user}
worker_processes 1;
worker_rlimit_nofile 16384;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log error;
events {{
    worker_connections 8192;
}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    upstream llama_server {{
        server 127.0.0.1:{upstream_port};
        keepalive 2048;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://llama_server;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"""


def binary() -> str | None:
    """Where nginx is installed; None when it is not."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def config(home: Path, port: int, upstream_port: int) -> str:
    """The configuration; the worker runs as the user who runs the benchmark and owns `home`."""
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    return CONFIG.format(user=user, home=home, port=port, upstream_port=upstream_port)


def command(home: Path, port: int, upstream_port: int) -> list[str]:
    """Write the configuration into `home`; return the command for it. Raises FileNotFoundError without nginx."""
    found = binary()
    if found is None:
        raise FileNotFoundError("nginx is not installed (Debian package nginx-light)")
    path = home / "nginx.conf"
    path.write_text(config(home, port, upstream_port))
    return [found, "-p", str(home), "-c", str(path), "-e", str(home / "error.log")]
