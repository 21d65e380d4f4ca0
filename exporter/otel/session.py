"""The connections of OTLP over HTTP, one pool per exporter: it notes why a request fails, which the exporter does not
say, and takes no redirection for a success. `exporters` hands it to the exporters."""

from __future__ import annotations

from typing import Any

import requests
from requests.utils import get_auth_from_url

from exporter.otel.reasons import error_reason, note, status_reason


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class Session(requests.Session):
    """A session of `requests` as the exporters use it."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As the base class does, but takes no credentials from `.netrc`: it would prefer them to the
        exporter's, and to those of the address."""
        said = get_auth_from_url(str(request.url))
        self.auth = said if any(said) else _as_it_is
        return super().prepare_request(request)

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
