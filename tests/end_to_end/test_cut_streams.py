"""A model that is lost while it answers, behind a real router: the router's last words are no answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from tests.end_to_end.sidecar import Sidecar
from tests.models.real_router import RealRouter, router_binary

pytestmark = pytest.mark.router

NAME = "tiny"
PRESET = "[{name}]\nmodel = {path}\nc = 512\nnp = 1\nt = 1\nstop-timeout = 1\nignore-eos = true\ncontext-shift = true\n"
"""It never comes to an end by itself, and need not wait long for its requests where it is unloaded."""
MESSAGES = [{"role": "user", "content": "What is a prompt cache?"}]
ENDLESS = 1_000_000
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": MESSAGES, "max_tokens": ENDLESS},
    "/completion": {"prompt": "What is a prompt cache?", "n_predict": ENDLESS},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": ENDLESS},
    "/v1/responses": {"input": MESSAGES, "max_output_tokens": ENDLESS},
}


class Stand(NamedTuple):
    """Both, and what is done to them."""

    router: RealRouter
    sidecar: Sidecar

    def kill(self) -> None:
        """End the model's process as a crash would."""
        for process in psutil.Process(self.router.pid).children(recursive=True):
            process.kill()

    def unload(self) -> None:
        """As the model manager does by force."""
        self.router.unload(NAME)

    def ask(self, path: str, lose: Callable[[], None]) -> str:
        """The text of a stream whose model is lost once it has begun."""
        text = ""
        body = ASKED[path] | {"model": NAME, "stream": True}
        with httpx.stream("POST", f"{self.sidecar.proxy}{path}", json=body, timeout=60) as answer:
            assert answer.status_code == 200
            for piece in answer.iter_text():
                if not text:
                    lose()
                text += piece
        return text

    def failures(self) -> tuple[float, float]:
        """Streams that failed by the outcome, and requests that did by the reason."""
        metrics = self.sidecar.metrics()
        return (
            metrics.sum("llm_requests_total", outcome="stream_error", http_response_status_code="200"),
            metrics.sum("gen_ai_server_request_duration_seconds_count", error_type="proxy_error"),
        )


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("cut")
    with RealRouter(router_binary(), folder, (NAME,)) as router:
        router.apply(PRESET.format(name=NAME, path=router.models[NAME]))
        with Sidecar("--upstream", router.url, "--log-level", "debug") as sidecar:
            yield Stand(router, sidecar)


@pytest.mark.parametrize(
    ("path", "lose"), [*((path, Stand.kill) for path in ASKED), ("/v1/chat/completions", Stand.unload)]
)
def test_a_model_lost_while_it_answers_is_a_failed_stream(
    stand: Stand, path: str, lose: Callable[[Stand], None]
) -> None:
    assert stand.router.load(NAME) == "loaded"
    streams, reasons = stand.failures()
    text = stand.ask(path, lambda: lose(stand))
    assert text.count("data: ") > 1
    assert text.rpartition("\n\n")[2].startswith("proxy error: ")
    stand.sidecar.wait_until(lambda: stand.failures() == (streams + 1, reasons + 1))
    assert not stand.sidecar.metrics().sum("llm_requests_total", outcome="completed")
    assert not stand.sidecar.metrics().sum("llm_sidecar_parse_errors_total")
