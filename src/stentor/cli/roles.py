"""`stentor serve` and `stentor worker`: what does the work, for as long as it is wanted.

Both log to stderr, a line a record, and end with 0 when they are told to stop: by SIGTERM or Ctrl-C, after which what
is under way is finished or given back. A second one doesn't wait for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Annotated, Any

import typer
import uvloop

from stentor.cli.init import offer_settings
from stentor.cli.operations import INTERRUPTED, ConfigFile, LogFormat, LogLevel, settings_of, signals
from stentor.cli.welcome import welcome
from stentor.config import Config, lanes
from stentor.errors import InvalidConfiguration, StentorError
from stentor.runtime.child import Role, collect_seldom, first_of
from stentor.runtime.logs import start_logging
from stentor.runtime.roles import NO_RECORDERS
from stentor.runtime.stentor import Stentor
from stentor.runtime.worker import work
from stentor.store.database import Database
from stentor.store.migrate import check

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for which a role waits for the store before it begins."""
MOST_STEPS, MOST_CONNECTIONS = 64, 1000
"""The highest `--concurrency` of a planner and of a sender, as of the settings that it stands for."""

Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Answer /healthz, /readyz and /metrics at this address. Port 0: any free port, which the log names.",
    ),
]


def worker(
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="planner, sender, recorder, scheduler or api.")],
    lane: Annotated[
        list[str] | None,
        typer.Option(metavar="LANE", help="For a sender: send on this lane only, e.g. apns/ios. Repeatable."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="For a planner: how many steps run at once (overrides `sending.ranges`). For a sender: how many"
            " connections each lane may open (overrides `max_connections` of the apps).",
        ),
    ] = None,
    listen: Listen = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
) -> None:
    """Run one role in this process until SIGTERM or Ctrl-C. Run as many as you like, on as many machines as you like.

    A planner splits audiences into batches. A sender sends the batches. A recorder stores the outcomes; it is needed
    only if the queue is in NATS. A scheduler starts campaigns on time and completes them. The api opens the REST API
    and the dashboard, at `api.listen`. You can start or kill any of them at any time. docs/cluster.md says which role
    is needed where.

    Exits with 0 if it was told to stop, with 2 if a setting must be changed first, and with 1 if the store or the
    queue cannot be reached at the start. After a 1, start it again, as systemd and Kubernetes do.

    \b
    Examples:
      stentor worker planner
      stentor worker sender --lane apns/ios --concurrency 4 --listen 0.0.0.0:9464
      stentor worker api --listen 0.0.0.0:9464
    """
    settings = settings_of(config, (log_level, log_format))
    settings, at_once = narrowed(settings, role, lanes_wanted=lane or (), concurrency=concurrency)
    collect_seldom()
    if role == "api":
        from stentor.service.process import serve as answer  # noqa: PLC0415 - no other role needs a web server

        _until_told(role, settings, lambda stop: answer(settings, stop, listen=listen, tell=_tell, opened_at=welcome))
        return

    async def run(stop: asyncio.Event) -> None:
        await _see_that_the_tables_are_right(settings)
        logger.info("the %s runs as process %d", role, os.getpid())
        await work(role, settings, stop, listen=listen, tell=_tell, at_once=at_once)
        logger.info("the %s has stopped", role)

    _until_told(role, settings, run)


def serve(
    senders: Annotated[
        int | None,
        typer.Option(min=0, max=256, help="Sender processes. Default: `sending.senders`, or one per CPU core."),
    ] = None,
    planners: Annotated[int, typer.Option(min=0, max=256, help="Planner processes.")] = 1,
    recorders: Annotated[
        int | None,
        typer.Option(
            min=0, max=256, help="Recorder processes. Needed only if the queue is in NATS; the default is then 1."
        ),
    ] = None,
    listen: Listen = None,
    api: Annotated[
        bool | None, typer.Option("--api/--no-api", help="Open the API and the dashboard. Default: `api.enabled`.")
    ] = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    config: ConfigFile = None,
) -> None:
    """Run all roles on this machine until SIGTERM or Ctrl-C, and restart a role that crashes.

    It also opens the API and the dashboard. While there is no user, it prints a link that makes the first admin; if it
    doesn't run at a terminal, it prints how to get one.

    If there is no stentor.toml yet, it offers to write one. An app and an audience can be added later.

    Run it on several machines that share one NATS and one PostgreSQL, and you have a cluster. It sends the campaigns
    that `stentor send --detach` starts.

    \b
    Examples:
      stentor serve
      stentor serve --senders 8 --recorders 2 --listen 127.0.0.1:9464
    """
    offer_settings(config)
    settings = settings_of(config, (log_level, log_format))
    if recorders and settings.queue.url is None:
        raise InvalidConfiguration(f"--recorders: {NO_RECORDERS}")

    async def run(stop: asyncio.Event) -> None:
        async with Stentor(settings) as stentor:
            await stentor.roles.serve(
                stop,
                senders=senders,
                planners=planners,
                recorders=recorders,
                listen=listen,
                api=api,
                opened_at=partial(welcome, stentor),
            )
        logger.info("all have stopped")

    _until_told("serve", settings, run)


def narrowed(
    config: Config, role: Role, *, lanes_wanted: Collection[str], concurrency: int | None
) -> tuple[Config, int | None]:
    """The settings as a role with these options has them; and how many steps a planner does at once.

    Raises:
        InvalidConfiguration: an option has no meaning for the role, or no lane is called so.
    """
    if lanes_wanted and role != "sender":
        raise InvalidConfiguration(f"--lane is for senders alone: a {role} works for all lanes")
    if concurrency is not None and role in ("recorder", "scheduler", "api"):
        raise InvalidConfiguration(
            f"--concurrency has no meaning for a {role}, which does one thing at a time; start several of them"
        )
    if role == "recorder" and config.queue.url is None:
        raise InvalidConfiguration(NO_RECORDERS)
    if role == "planner":
        _see_that_it_is_at_most(MOST_STEPS, concurrency)
        return config, concurrency
    known = lanes(config)
    for lane in lanes_wanted:
        if lane not in known:
            raise InvalidConfiguration(f"--lane: there is no lane {lane}; there are: {', '.join(known) or 'none'}")
    apps = {lane.partition("/")[2]: app for lane, app in known.items() if not lanes_wanted or lane in lanes_wanted}
    if concurrency is not None:
        _see_that_it_is_at_most(MOST_CONNECTIONS, concurrency)
        apps = {name: app.model_copy(update={"max_connections": concurrency}) for name, app in apps.items()}
    return config.model_copy(update={"apps": apps}), None


def _see_that_it_is_at_most(most: int, concurrency: int | None) -> None:
    if concurrency is not None and concurrency > most:
        raise InvalidConfiguration(f"--concurrency: {concurrency} is too many; {most} at most")


async def _see_that_the_tables_are_right(config: Config) -> None:
    database = Database.open(config.store.url, connections=1, patience=PATIENCE)
    try:
        await check(database)
    finally:
        await database.aclose()


def _tell(address: str | None) -> None:
    if address is not None:
        logger.info("answering probes on http://%s", address)


# -- running until told -----------------------------------------------------------------------------------------------


def _until_told(name: str, settings: Config, run: Callable[[asyncio.Event], Coroutine[Any, Any, object]]) -> None:
    """Run something until a signal, which it is told by an event."""
    start_logging(name, settings.logging)

    async def until_told() -> None:
        stop = asyncio.Event()
        running = asyncio.current_task()
        assert running is not None

        def told() -> None:
            if stop.is_set():
                running.cancel()
            stop.set()

        with signals({signal.SIGINT: told, signal.SIGTERM: told}):
            await run(stop)

    complaint: StentorError | None = None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(until_told())
        except* StentorError as errors:
            complaint = first_of(errors)
        except* asyncio.CancelledError as interrupt:
            raise typer.Exit(INTERRUPTED) from interrupt
    if complaint is not None:
        raise complaint
