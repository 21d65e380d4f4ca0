"""Who it is that sends: the attributes of the resource, which become `job` and `instance` in Prometheus."""

from __future__ import annotations

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from exporter import __version__

SERVICE = "llama-exporter"
"""Its name, and that of the scope of all that it sends."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"


def make_resource(instance: str) -> Resource:
    """Our own attributes, those of the SDK, and what `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and
    `OTEL_EXPERIMENTAL_RESOURCE_DETECTORS` add, which wins over ours."""
    ours = {"service.name": SERVICE, "service.version": __version__, "service.instance.id": instance}
    said = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in ours.items() if name not in said})
