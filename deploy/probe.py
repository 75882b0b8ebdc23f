#!/usr/bin/env python3
"""Asks the role in this container how it is: `stentor-probe /healthz` or `stentor-probe /readyz`.

Ends with 0 if the answer is 200, else with 1 and the reason. For engines whose health checks run a command; the image
has no curl. The port is the one of all deployments here.
"""

from __future__ import annotations

import http.client
import sys

HOST, PORT = "127.0.0.1", 9464
PATIENCE = 3.0
"""Seconds; less than a health check's own timeout, so that the reason is told."""


def probe(path: str, port: int = PORT) -> str:
    """What is wrong; empty if nothing is."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        told = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {error!r}"
    finally:
        connection.close()
    return "" if response.status == 200 else f"{path}: {response.status} {told}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: stentor-probe /healthz|/readyz")
    sys.exit(probe(sys.argv[1]))
