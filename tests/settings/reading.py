"""How tests read variables: settings without a warning, a refusal in one line, or warnings."""

from __future__ import annotations

import pytest

from exporter.errors import ConfigError
from exporter.settings.otel import OtelSettings
from exporter.settings.otel_variables import read

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
ON = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}


def settings(**variables: str) -> OtelSettings:
    found, warnings = read(variables)
    assert warnings == []
    return found


def refused(**variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(variables)
    message = str(caught.value)
    assert message.startswith("environment: OTEL_")
    assert "\n" not in message
    return message.removeprefix("environment: ")


def warned(**variables: str) -> list[str]:
    return read(variables)[1]
