"""The built-in page, `/monitoring`, for people who have no Grafana: what is happening now. It shows what the contracts
of the other rooms tell, and three documents of its own. Its description is docs/api-monitoring.md.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.api.monitoring import page
from exporter.api.monitoring.documents import Failure
from exporter.api.monitoring.errors import refuse
from exporter.api.monitoring.now import Proxy
from exporter.api.monitoring.page import PATH
from exporter.api.monitoring.reading import operations
from exporter.api.monitoring.sign_in import SignIn
from exporter.api.room import Room
from exporter.api.sessions import Sessions
from exporter.api.views import Views
from exporter.keys import KeyRing
from exporter.models.models import Models

__all__ = ["PATH", "Proxy", "room"]


def room(
    views: Views,
    models: Models,
    *,
    keys: KeyRing,
    sessions: Sessions,
    proxy: Proxy,
    streams: bool,
    sample_seconds: Callable[[], float],
) -> Room:
    """The page, its parts, its documents, and signing in. `proxy` is what clients talk to; `streams` says whether there
    is a stream of the requests in flight."""
    sign_in = SignIn(keys, sessions, page.make_page())
    return Room(
        name="Monitoring",
        about="The built-in page and what it asks for beside the contracts "
        "([docs/api-monitoring.md](docs/api-monitoring.md)).",
        operations=(
            *sign_in.operations(),
            *operations(views, models, keys=bool(keys), proxy=proxy, streams=streams, sample_seconds=sample_seconds),
            *page.operations(),
        ),
        places=(PATH, f"{PATH}/"),
        refuse=refuse,
        error_shape=Failure,
    )
