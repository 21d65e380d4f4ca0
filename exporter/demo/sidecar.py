"""The sidecar as the demo runs it: `llama-exporter serve`, as anybody would start it, in a process of its own.

`demo.run` starts it with `Sidecar`; `python -m exporter.demo.sidecar serve ...` is the other side of that: the same
command, which also ends when its parent does.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from exporter.demo.process import Child, end_with_parent, http_status
from exporter.errors import StartupError
from exporter.settings import ENV_PREFIX, split_address

SETTINGS = {
    f"{ENV_PREFIX}SAMPLING__INTERVAL_SECONDS": "2",
    f"{ENV_PREFIX}ROUTING__RESPONSE_HEADERS": "true",
}
"""What a demo is too short for at its default, and what is to be seen in it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens, as it was written and taken apart."""

    text: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`. Raises StartupError; also for port 0, since nobody would know where to look."""
        try:
            host, port = split_address(text)
        except ValueError as error:
            raise StartupError(str(error)) from None
        if port == 0:
            raise StartupError(f"{text!r}: the demo needs a port number")
        return cls(text, host, port)

    @property
    def url(self) -> str:
        """How to reach it from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class Sidecar(Child):
    """A running sidecar: `async with Sidecar(upstreams=..., proxy=..., admin=...)`. Starting raises StartupError."""

    stop_limit_seconds = 5.0

    def __init__(
        self, *, upstreams: Mapping[str, str], proxy: Address, admin: Address, store: Path | None = None
    ) -> None:
        """`upstreams` are URLs by tier; `store` is the file of its history, None for none."""
        options = [option for tier, url in upstreams.items() for option in ("--upstream", f"{tier}={url}")]
        options += ["--proxy-listen", proxy.text, "--admin-listen", admin.text]
        environment = {**SETTINGS, f"{ENV_PREFIX}STORE__URL": f"sqlite:///{quote(str(store))}" if store else "none"}
        super().__init__("sidecar", ["-m", "exporter.demo.sidecar", "serve", *options], environment)
        self._admin = admin

    def ready(self) -> bool:
        """Whether its liveness is answered."""
        return http_status(f"{self._admin.url}/-/healthy") == 200


if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("exporter", run_name="__main__", alter_sys=True)
