"""llama-exporter: a transparent sidecar for llama-server that measures what passes through it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("llama-exporter")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
