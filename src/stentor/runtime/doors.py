"""The socket on which the API and the dashboard are reached."""

from __future__ import annotations

import logging
import socket

from stentor.config import ApiConfig
from stentor.errors import InvalidConfiguration
from stentor.runtime.plain_http import parse_address, why_not

logger = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def open_door(listen: str) -> socket.socket:
    """A socket that listens at `HOST:PORT`. Raises: InvalidConfiguration: it cannot; says why and what to do."""
    host, port = parse_address(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, kind, protocol)
        try:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(BACKLOG)
            door.setblocking(False)
        except OSError:
            door.close()
            raise
    except OSError as error:
        raise InvalidConfiguration(f"api.listen: {why_not(host, port, error)}") from None
    return door


def address_of(api: ApiConfig, door: socket.socket) -> str:
    """What to type into a browser on this machine."""
    host, port = door.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"{api.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def doors_of(api: ApiConfig) -> list[socket.socket]:
    """Those of `stentor serve`: none where the API isn't wanted, or where nobody chose a port and that one is taken.

    Raises: InvalidConfiguration: it cannot listen where it should.
    """
    if not api.enabled:
        return []
    try:
        return [open_door(api.listen)]
    except InvalidConfiguration as error:
        if "listen" in api.model_fields_set:
            raise
        logger.warning("there is no API and no dashboard here: %s. Or set `api.listen` in stentor.toml", error)
        return []
