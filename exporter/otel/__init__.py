"""What is pushed by OpenTelemetry: traces, and the metrics that a scrape shows. `app` loads it where that is wanted."""
