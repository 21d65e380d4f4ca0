"""What the running sidecar answers is what its description says: schemathesis makes up requests from it, good and bad,
and looks for failures, undocumented answers and documents of another form."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.end_to_end.sidecar import Sidecar
from tests.fakes.answers import by_path, json_reply
from tests.fakes.llama_server import FakeServer

KEY = "a-key-for-the-tests"
CONFIG = """\
seed = 1
max-stream-events = 1
request-timeout = 5.0

[generation]
deterministic = true
max-examples = {examples}
database = "none"

[phases.stateful]
enabled = false

# It has rules that JSON Schema cannot say: what is printable, and that not more can be available than there are.
[[operations]]
include-path-regex = "^/api/metrics/record/"
checks.positive_data_acceptance.expected-statuses = ["202", "400"]

# Dates have rules that a pattern cannot say: which days there are, and that a period ends after it starts.
[[operations]]
include-path-regex = "^/(metrics|completion_requests)$"
checks.positive_data_acceptance.expected-statuses = ["200", "400"]

# Models: names and paths have rules that a schema cannot say, and so have parameters that belong together. There is no
# router here, nor a folder with models.
[[operations]]
include-path-regex = "^/api/(models($|/discover|/[^s])|parameters/|config$|logger/config$)"
checks.positive_data_acceptance.expected-statuses = ["200", "202", "400", "403", "404", "409"]

# The WebSocket's path, asked without a handshake.
[[operations]]
include-path = "/api/metrics/ws"
checks.positive_data_acceptance.expected-statuses = ["426"]
"""
RUN = (sys.executable, "-m", "schemathesis.cli", "run", "openapi.json")
REPORT = ("--report", "json", "--report-json-path", "report.json")


@asynccontextmanager
async def ready_sidecar(folder: Path, **environment: str) -> AsyncIterator[Sidecar]:
    """A sidecar before a llama-server that is well, with a store in the folder."""
    async with FakeServer(by_path({"/health": json_reply({"status": "ok"})})) as upstream:
        store = f"sqlite:///{folder}/history.db"
        settings = {"LLAMA_EXPORTER_RATE_LIMIT__REQUESTS_PER_MINUTE": "0", **environment}
        sidecar = Sidecar("--upstream", upstream.url, "--store", store, environment=settings)
        await asyncio.to_thread(sidecar.__enter__)
        try:
            for path in ("/-/ready", "/completion_requests"):
                await asyncio.to_thread(sidecar.wait_until, lambda path=path: get(sidecar, path).status_code == 200)
            yield sidecar
        finally:
            sidecar.__exit__()


def get(sidecar: Sidecar, path: str) -> httpx.Response:
    return httpx.get(sidecar.admin + path, headers={"x-api-key": KEY})


async def check(sidecar: Sidecar, folder: Path, *options: str, examples: int) -> None:
    """Run schemathesis over every operation. It is given a file: the path that it got a description from, it leaves
    out."""
    description = await asyncio.to_thread(get, sidecar, "/openapi.json")
    assert list(OpenAPIV31SpecValidator(description.json()).iter_errors()) == []
    (folder / "openapi.json").write_bytes(description.content)
    (folder / "schemathesis.toml").write_text(CONFIG.format(examples=examples))
    process = await asyncio.create_subprocess_exec(
        *(*RUN, "--url", sidecar.admin, *REPORT, *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, output.decode()
    report = json.loads((folder / "report.json").read_text())
    operations = sum(len(methods) for methods in description.json()["paths"].values())
    assert report["operations"]["tested"] == operations > 0, output.decode()
    assert report["test_cases"]["generated"] > operations
    assert report["warnings"]["missing_deserializer"] == [], "documents that could not be looked into"


async def test_every_operation(tmp_path: Path) -> None:
    async with ready_sidecar(tmp_path) as sidecar:
        await check(sidecar, tmp_path, examples=10)


async def test_every_operation_behind_keys(tmp_path: Path) -> None:
    async with ready_sidecar(tmp_path, PROXY_API_KEY=KEY) as sidecar:
        await check(sidecar, tmp_path, "--header", f"x-api-key: {KEY}", examples=3)


async def test_every_operation_when_nothing_is_recorded(tmp_path: Path) -> None:
    async with ready_sidecar(tmp_path, LOG_REQUEST_METRICS="false") as sidecar:
        await check(sidecar, tmp_path, examples=3)
