"""The image's HEALTHCHECK: is the admin listener healthy? Exit code 0 or 1, with the reason.

It runs every few seconds in an interpreter of its own, so it takes the port from the variable that the image sets, and
loads nothing of the package. Where the port comes from a file or an argument, give the service a check of its own.
"""

import http.client
import os
import re
import sys

LISTEN = "LLAMA_EXPORTER_ADMIN__LISTEN"
"""`HOST:PORT`, or several of them with commas between, or as JSON: the first one's port counts."""
TIMEOUT_SECONDS = 3


def port(listen: str) -> int:
    """The port of the first address. Raises ValueError where there is none."""
    found = re.search(r":(\d+)\D*(,|$)", listen)
    if found is None:
        raise ValueError(f"{LISTEN} has no port: {listen!r}")
    return int(found[1])


def check(listen: str) -> None:
    """Raises OSError, HTTPException or ValueError where it is not healthy."""
    connection = http.client.HTTPConnection("127.0.0.1", port(listen), timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/-/healthy")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        raise ValueError(f"/-/healthy answered {status}")


if __name__ == "__main__":
    try:
        check(os.environ.get(LISTEN, "127.0.0.1:9464"))  # noqa: TID251 - not part of the package
    except (OSError, http.client.HTTPException, ValueError) as exc:
        sys.exit(f"not healthy: {exc}")
