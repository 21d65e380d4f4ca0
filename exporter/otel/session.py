"""The connections of OTLP over HTTP, one pool per exporter: it notes why a request fails, which the exporter does not
say, and takes no redirection for a success. `exporters` hands it to the exporters."""

from __future__ import annotations

from typing import Any

import requests

from exporter.otel.reasons import error_reason, note, status_reason


class Session(requests.Session):
    """A session of `requests` as the exporters use it."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As the base class does, but follows nobody elsewhere, and does not prefer what `REQUESTS_CA_BUNDLE` says to
        what the exporter was told."""
        kwargs["allow_redirects"] = False
        if self.verify is not True:
            kwargs["verify"] = self.verify
        try:
            response = super().send(request, **kwargs)
        except Exception as error:
            note(error_reason(error))
            raise
        if response.status_code >= 300:
            note(status_reason(response.status_code))
        if 300 <= response.status_code < 400:
            response.close()
            raise requests.TooManyRedirects("a redirection, which the exporter would count as success")
        return response
