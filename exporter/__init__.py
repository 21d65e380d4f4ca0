"""llama-exporter: a transparent sidecar for llama-server that measures what passes through it."""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """The version, looked up when it is asked for: that takes 50 ms, which `exporter.client` must not cost others."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("llama-exporter")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0.0.0"
