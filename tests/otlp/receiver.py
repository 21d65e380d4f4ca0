"""A receiver of OTLP for tests, over HTTP or gRPC: it keeps what arrives, and fails, hangs or is away when a test says
so.

It runs in threads of its own, so that tests of any kind can use it, and sidecars in other processes can push to it.
`python -m tests.otlp` shows what arrives.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.otlp.arrived import Arrived, Metric, Span, metrics_of, spans_of
from tests.ports import free_ports

HTTP = "http"
GRPC = "grpc"
PORTS = free_ports()
Request = ExportTraceServiceRequest | ExportMetricsServiceRequest


class Signal(NamedTuple):
    """Where one signal goes, and what its messages are."""

    name: str
    path: str
    service: str
    request: type[Any]
    response: type[Any]


SIGNALS = (
    Signal(
        "traces",
        "/v1/traces",
        "opentelemetry.proto.collector.trace.v1.TraceService",
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    ),
    Signal(
        "metrics",
        "/v1/metrics",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    ),
)


class Tls(NamedTuple):
    """PEM files: what the receiver shows, and, where clients must show something, too, who vouches for them."""

    certificate: Path
    key: Path
    clients: Path | None = None


class Failure(NamedTuple):
    """How requests fail: the status of HTTP and what it is in gRPC, and when the client may come again."""

    status: int = 503
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    headers: tuple[tuple[str, str], ...] = ()


class Receiver:
    """Use it as a context, or `start` and `stop` it. All of it may be called from any thread."""

    def __init__(self, transport: str = HTTP, *, port: int | None = None, tls: Tls | None = None) -> None:
        """`transport` is `http` or `grpc`."""
        self.transport = transport
        self.port = next(PORTS) if port is None else port
        self.requests: list[Arrived] = []
        """What was taken, in the order in which it came."""
        self.refused = 0
        """Requests that were told to come again, or that were in vain."""
        self.hanging = 0
        """Requests that wait for an answer now."""
        self._tls = tls
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._released.set()
        self._fail_next: float = 0
        self._failure = Failure()
        self._server: _HttpServer | _GrpcServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The certificate of TLS is for `localhost`."""
        return "localhost" if self._tls else "127.0.0.1"

    @property
    def endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be."""
        return f"http{'s' if self._tls else ''}://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead here, traces and metrics."""
        protocol = "grpc" if self.transport == GRPC else "http/protobuf"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    # Its life

    def start(self) -> None:
        """Listen; again on the same port after a `stop`."""
        if self._server is None:
            make = _GrpcServer if self.transport == GRPC else _HttpServer
            self._server = make(self, self.port, self._tls)

    def stop(self) -> None:
        """Close the port and every connection; who waits for an answer gets none."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def fail(self, times: float = float("inf"), failure: Failure | None = None) -> None:
        """Refuse the next requests, so many or until `recover`: 503 and UNAVAILABLE, or what is given."""
        with self._changed:
            self._failure = failure or Failure()
            self._fail_next = times

    def hang(self) -> None:
        """Take connections and requests, and answer nothing until `recover`."""
        self._released.clear()

    def recover(self) -> None:
        """Answer all requests again; those that wait, too."""
        with self._changed:
            self._fail_next = 0
        self._released.set()

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._changed:
            self.requests.clear()

    # What has arrived

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        found = (each.message for each in self._arrived("traces"))
        return [
            span for message in found if isinstance(message, ExportTraceServiceRequest) for span in spans_of(message)
        ]

    @property
    def metrics(self) -> list[Metric]:
        """All metrics of all exports so far."""
        found = (each.message for each in self._arrived("metrics"))
        return [
            metric
            for message in found
            if isinstance(message, ExportMetricsServiceRequest)
            for metric in metrics_of(message)
        ]

    @property
    def latest_metrics(self) -> dict[str, Metric]:
        """Those of the last export, by name."""
        last = [each.message for each in self._arrived("metrics")][-1:]
        return {
            metric.name: metric
            for message in last
            if isinstance(message, ExportMetricsServiceRequest)
            for metric in metrics_of(message)
        }

    def _arrived(self, signal: str) -> list[Arrived]:
        with self._changed:
            return [each for each in self.requests if each.signal == signal]

    def wait_for(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Until `condition` holds; it is asked anew when something happened here, and now and then.

        Raises TimeoutError. In an `async` test, call it by `asyncio.to_thread`.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(self.requests)} requests taken, {self.refused} refused, {self.hanging} hang")
            with self._changed:
                self._changed.wait(min(left, 0.05))

    def wait_for_spans(self, number: int, timeout: float = 10.0) -> list[Span]:
        """All spans, as soon as there are so many."""
        self.wait_for(lambda: len(self.spans) >= number, timeout)
        return self.spans

    # For its servers

    def take(self, arrived: Arrived) -> Failure | None:
        """What becomes of a request: None, or how it fails."""
        if not self._released.is_set():
            self._count_hanging(1)
            self._released.wait()
            self._count_hanging(-1)
        with self._changed:
            failed = self._fail_next > 0 or self._server is None
            if failed:
                self._fail_next -= self._fail_next > 0
                self.refused += 1
            else:
                self.requests.append(arrived)
            self._changed.notify_all()
            return self._failure if failed else None

    def _count_hanging(self, change: int) -> None:
        with self._changed:
            self.hanging += change
            self._changed.notify_all()

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """Lets everyone go who waits, so that threads can end."""
        was_set = self._released.is_set()
        self._released.set()
        try:
            yield
        finally:
            if not was_set:
                self._released.clear()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, receiver: Receiver, port: int, tls: Tls | None) -> None:
        self.receiver = receiver
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)
        self._context = None if tls is None else _server_context(tls)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In a thread of the connection; the handshake of TLS, too, is made there."""
        with self._guard:
            self._connections.add(request)
        try:
            if self._context is not None:
                request = self._context.wrap_socket(request, server_side=True)
                with self._guard:
                    self._connections.add(request)
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves, or that does not trust us, is nothing to print."""

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self.receiver.ending():
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        signal = next((each for each in SIGNALS if each.path == self.path), None)
        if signal is None:
            self._answer(404)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        message = signal.request.FromString(_decode(body, headers.get("content-encoding", "")))
        failure = self.server.receiver.take(Arrived(signal.name, HTTP, self.path, headers, message, len(body)))
        if failure is None:
            self._answer(200, signal.response().SerializeToString(), ("Content-Type", "application/x-protobuf"))
        else:
            self._answer(failure.status, b"", *failure.headers)

    def _answer(self, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)


def _decode(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    return zlib.decompress(body) if encoding == "deflate" else body


def _server_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.clients is not None:
        context.load_verify_locations(tls.clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _GrpcServer:
    def __init__(self, receiver: Receiver, port: int, tls: Tls | None) -> None:
        self._receiver = receiver
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers(tuple(self._handler(signal) for signal in SIGNALS))
        address = f"127.0.0.1:{port}"
        if tls is None:
            self._server.add_insecure_port(address)
        else:
            self._server.add_secure_port(address, _server_credentials(tls))
        self._server.start()

    def _handler(self, signal: Signal) -> Any:
        def export(request: Request, context: Any) -> Any:
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            path = f"/{signal.service}/Export"
            failure = self._receiver.take(Arrived(signal.name, GRPC, path, headers, request, 0))
            if failure is not None:
                context.abort(failure.code, "told to fail")
            return signal.response()

        method = grpc.unary_unary_rpc_method_handler(
            export, signal.request.FromString, lambda response: response.SerializeToString()
        )
        return grpc.method_handlers_generic_handler(signal.service, {"Export": method})

    def stop(self) -> None:
        ended = self._server.stop(grace=None)
        with self._receiver.ending():
            ended.wait()
            self._pool.shutdown()


def _server_credentials(tls: Tls) -> Any:
    pair = tls.key.read_bytes(), tls.certificate.read_bytes()
    clients = tls.clients and tls.clients.read_bytes()
    return grpc.ssl_server_credentials([pair], root_certificates=clients, require_client_auth=clients is not None)


def trees(spans: list[Span]) -> Iterator[tuple[int, Span]]:
    """Every span with its depth, parents before children; a span whose parent is not here has depth 0."""
    here = {span.span_id for span in spans}
    children = {
        parent: list(group)
        for parent, group in itertools.groupby(
            sorted(spans, key=lambda span: (span.parent_id, span.start_ns)), key=lambda span: span.parent_id
        )
    }

    def below(span: Span, depth: int) -> Iterator[tuple[int, Span]]:
        yield depth, span
        for child in children.get(span.span_id, ()):
            yield from below(child, depth + 1)

    for span in sorted(spans, key=lambda span: span.start_ns):
        if span.parent_id not in here:
            yield from below(span, 0)
