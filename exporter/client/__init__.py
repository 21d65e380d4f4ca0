"""What applications import: nothing in the sidecar does, and nothing here imports the sidecar."""

from exporter.client.collector import MetricsCollector, get_metrics_collector

__all__ = ["MetricsCollector", "get_metrics_collector"]
