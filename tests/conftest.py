"""Fixtures that every room's tests can have: a real llama.cpp engine with a tiny model, and free ports."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from exporter.demo.engine import Engine, EngineOptions
from exporter.demo.model import write_model
from tests.ports import free_ports

# How long an example takes says nothing on a machine that does other things, too.
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

pytest_plugins = ["tests.databases"]
ENGINE_FIXTURES = {"engine", "start_engine", "tiny_model"}
STATE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """No test writes into the state directory of whoever runs it: processes that tests start inherit this."""
    config.stash[STATE] = tempfile.TemporaryDirectory(prefix="state-")
    os.environ["XDG_STATE_HOME"] = config.stash[STATE].name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Away with it."""
    config.stash[STATE].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the engine as such, so that `-m 'not engine'` never misses one."""
    for item in items:
        if ENGINE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of 0.8 MB: 2 layers, random weights, the alias `tiny` in the engine."""
    for module in ("gguf", "numpy", "xllamacpp"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}: pip install 'llama-exporter[demo]'")
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="session")
def start_engine(tiny_model: Path) -> Iterator[Callable[..., Engine]]:
    """Engines by their options (`embedding=True`, `parallel=1`, `context_size=512`, ...; see `EngineOptions`).

    Tests that ask for the same options share one engine; all end with the session.
    """
    engines: dict[EngineOptions, Engine] = {}
    with ExitStack() as stack:

        def start(**options: Any) -> Engine:
            wanted = EngineOptions(model=tiny_model, **options)
            if wanted not in engines:
                engines[wanted] = stack.enter_context(Engine(wanted))
            return engines[wanted]

        yield start


@pytest.fixture(scope="session")
def engine(start_engine: Callable[..., Engine]) -> Engine:
    """The running engine that most tests share, 4 slots of 2048 tokens; `engine.url` is its base URL."""
    return start_engine()


@pytest.fixture(scope="session")
def find_port() -> Callable[[], int]:
    """Finds a port of 127.0.0.1 that nobody uses; another one each time."""
    return free_ports().__next__


@pytest.fixture
def free_port(find_port: Callable[[], int]) -> int:
    """One free port."""
    return find_port()
