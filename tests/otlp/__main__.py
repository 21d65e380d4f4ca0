"""`python -m tests.otlp`: listens where a collector would, 4318 for HTTP and 4317 for gRPC, and prints a line per span
and per export of metrics. For people."""

from __future__ import annotations

import contextlib
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.otlp.arrived import Arrived, Span, metrics_of, spans_of
from tests.otlp.receiver import GRPC, HTTP, Receiver


def lines(arrived: Arrived) -> list[str]:
    """What arrived, for people."""
    if isinstance(arrived.message, ExportTraceServiceRequest):
        return [_span_line(span) for span in spans_of(arrived.message)]
    metrics = list(metrics_of(arrived.message))
    return [f"{len(metrics)} metrics with {sum(len(metric.points) for metric in metrics)} points"]


def _span_line(span: Span) -> str:
    ids = f"{span.trace_id[:8]} {span.parent_id[:8] or '-':>8} > {span.span_id[:8]}"
    return f"{ids}  {span.kind:8} {span.seconds * 1e3:9.2f} ms  {span.status:5}  {span.name}  {span.attributes}"


def main() -> None:
    with Receiver(HTTP, port=4318) as http, Receiver(GRPC, port=4317) as grpc:
        print(f"listening: {http.endpoint} (http/protobuf), {grpc.endpoint} (grpc); Ctrl-C ends it", flush=True)
        shown = {http: 0, grpc: 0}
        while True:
            time.sleep(0.1)
            for receiver, begin in shown.items():
                for arrived in receiver.requests[begin:]:
                    print(*lines(arrived), sep="\n", flush=True)
                    shown[receiver] += 1


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
