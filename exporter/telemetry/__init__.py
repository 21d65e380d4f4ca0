"""How the outside world measures us: the metric catalogue, what feeds it, and its exposition to Prometheus."""
