"""What several tests of settings need."""

from __future__ import annotations

import pytest

from tests.otel.exports import make_authority
from tests.otlp.receiver import Tls


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate that can vouch for others, and its key."""
    return make_authority(tmp_path_factory.mktemp("tls"))
