"""A thread that listens to live figures, as an application would."""

from __future__ import annotations

import threading

from exporter.client import LlamaProxyClient
from exporter.client.llama_proxy.metrics import Metrics
from tests.client.threaded import LIMIT_SECONDS
from tests.nextjs_document import UPDATE


class Listener:
    """A thread that listens."""

    def __init__(self, client: LlamaProxyClient, interval: float | None = None) -> None:
        self.heard: list[Metrics] = []
        self.failure: Exception | None = None
        self.wanted = 10**9
        self._stream = client.metrics.stream(interval)
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        try:
            for metrics in self._stream:
                self.heard.append(metrics)
                if len(self.heard) >= self.wanted:
                    break
            self._stream.close()
        except Exception as failure:
            self.failure = failure

    def end(self) -> None:
        self.thread.join(LIMIT_SECONDS)
        assert not self.thread.is_alive()

    @property
    def requests(self) -> list[int | None]:
        return [metrics.requests for metrics in self.heard]


def update(number: int, **more: object) -> dict[str, object]:
    return {**UPDATE, "requests": number, **more}
