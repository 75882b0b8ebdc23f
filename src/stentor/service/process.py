"""The role `api`: `python -m stentor.runtime.process api`; see `runtime.child` for how it lives.

`--socket=N` is a socket that listens already, which it inherits; without one it opens `api.listen` itself. With
`--listen HOST:PORT` it answers probes there.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from stentor.api.meter import ApiMeter
from stentor.config import Config
from stentor.errors import InvalidConfiguration, StentorError
from stentor.runtime import child
from stentor.runtime.child import Role
from stentor.runtime.doors import address_of, open_door
from stentor.runtime.health import Lookup, ProbeResult
from stentor.runtime.plain_http import listening
from stentor.runtime.probes import SCHEMA_LASTS, pages
from stentor.runtime.stentor import Stentor
from stentor.service.app import application
from stentor.service.metrics import api_page
from stentor.service.protocol import BoundedProtocol

logger = logging.getLogger(__name__)

ROLE: Role = "api"
CLOSE_WITHIN = 3
"""Seconds that answers under way have to end, once it is told to stop."""
PATIENCE = 5.0
"""Seconds that a request waits for a store that cannot be reached."""
FORGET_EVERY = 3600.0
"""Seconds between two times that old answers are forgotten."""
IDLE = 75
"""Seconds after which a connection that says nothing is closed."""


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    config: Config,
    stop: asyncio.Event,
    *,
    doors: Sequence[socket.socket] = (),
    listen: str | None = None,
    tell: Callable[[str | None], None] = lambda _: None,
    opened_at: Callable[[Stentor, str], Awaitable[None]] | None = None,
) -> dict[str, float]:
    """Answer requests until `stop`.

    Args:
        doors: sockets that listen already; none: one is opened at `api.listen`.
        listen: where to answer probes (`HOST:PORT`); None: nowhere.
        tell: told where that is, or None, as soon as requests are answered.
        opened_at: told, as soon as requests are answered, where people reach the dashboard.

    Raises: InvalidConfiguration: it cannot listen there, or its certificate cannot be used.

    Returns: CPU seconds by stage: none of its own.
    """
    opened = [] if doors else [open_door(config.api.listen)]
    meter = ApiMeter()
    try:
        async with Stentor(config, roles_elsewhere=True, patience=PATIENCE) as stentor, asyncio.TaskGroup() as group:
            server = _Server(_settings(config, application(stentor, config, meter, stop)))
            serving = group.create_task(server.serve(sockets=[*doors, *opened]))
            housekeeping = group.create_task(_forget(stentor))
            async with _probed(stentor, meter, stop, listen) as address, stentor.shown_as(ROLE):
                for each in (*doors, *opened):
                    logger.info("the API and the dashboard are at %s", address_of(config.api, each))
                tell(address)
                if opened_at is not None:
                    door = (*doors, *opened)[0]
                    await opened_at(stentor, config.api.public_url or address_of(config.api, door))
                await stop.wait()
                server.should_exit = True
                await serving
            housekeeping.cancel()
    finally:
        for each in opened:
            each.close()
    return {}


def _settings(config: Config, app: Any) -> uvicorn.Config:
    """Raises: InvalidConfiguration: the certificate cannot be used."""
    api = config.api
    settings = uvicorn.Config(
        app,
        loop="none",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(api.trusted_proxies),
        forwarded_allow_ips=list(api.trusted_proxies),
        timeout_graceful_shutdown=CLOSE_WITHIN,
        timeout_keep_alive=IDLE,
        ssl_certfile=api.certificate_file,
        ssl_keyfile=api.certificate_key_file,
    )
    try:
        settings.load()
    except (OSError, ssl.SSLError, ValueError) as error:
        raise InvalidConfiguration(
            f"api.certificate_file: {api.certificate_file} cannot be used: {error}; it must be a PEM file with the"
            " certificate, and with its key unless `certificate_key_file` names that"
        ) from None
    return settings


@asynccontextmanager
async def _probed(
    stentor: Stentor, meter: ApiMeter, stop: asyncio.Event, listen: str | None
) -> AsyncIterator[str | None]:
    if listen is None:
        yield None
        return
    schema = Lookup(stentor.check, SCHEMA_LASTS)

    async def alive() -> ProbeResult:
        return ProbeResult(role=ROLE, ok=True)

    async def ready() -> ProbeResult:
        problems = ["stopping"] if stop.is_set() else []
        try:
            await schema.get()
        except (StentorError, TimeoutError) as error:
            problems.append(str(error) or "the store takes long to answer")
        return ProbeResult(role=ROLE, ok=not problems, problems=problems)

    try:
        async with listening(listen, pages(alive, ready, lambda: api_page(meter))) as address:
            yield address
    finally:
        await schema.aclose()


async def _forget(stentor: Stentor) -> None:
    """Keep what is remembered of requests from growing."""
    while True:
        with contextlib.suppress(StentorError):
            await stentor.replies.forget()
        await asyncio.sleep(FORGET_EVERY)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stentor.runtime.process")
    parser.add_argument("role", choices=[ROLE])
    parser.add_argument("--listen")
    parser.add_argument("--socket", type=int, action="append", default=[])
    given = parser.parse_args(sys.argv[1:])
    doors = [socket.socket(fileno=number) for number in given.socket]
    child.run(
        "api",
        lambda config, stop: serve(config, stop, doors=doors, listen=given.listen, tell=child.tell_parent),
    )
