"""`stentor bench api`: what watchers cost a campaign, and how fast the API answers while a campaign uses the machine.

Everything runs as under `stentor serve`. Each round sends the campaign three times: alone, watched by programs over
server-sent events, and while a program creates campaigns and sends messages. The ratio is that of campaigns of one
round, whose order changes from round to round.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any, get_args

import msgspec
import uvloop

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.audience.contract import Selection
from stentor.bench import campaign as campaigns
from stentor.bench.intake import key
from stentor.bench.journey import AUDIENCE, MESSAGE
from stentor.bench.messages import EVERY, LANE, WATCHED, Sent, quantiles, seconds_of
from stentor.bench.processes import simulator
from stentor.bench.served import Served, served
from stentor.bench.servers import cpu_seconds, peak_mb, postgres_server
from stentor.bench.watchers import Watched, WatchSpec, watching
from stentor.client import Client
from stentor.client.exporting import ExportFormat
from stentor.client.fields import Audience, MessageFile
from stentor.config import Config
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor

SQLITE = "sqlite"
API = {"listen": "127.0.0.1:0", "rate": 100_000}
"""Settings of the API: a free port, and no limit that would be measured instead."""
CREATE_EVERY = 0.25
"""Seconds from one creation of a campaign to the next."""
BODY: MessageFile = {"title": MESSAGE.title, "body": MESSAGE.body}
EVERYBODY: Audience = {"source": AUDIENCE}
ONE: Audience = {"source": AUDIENCE, "only": ["1"]}
"""The first installation alone: what creating a campaign takes beside counting its audience."""


class ApiSpec(msgspec.Struct, frozen=True):
    """What is to be measured."""

    recipients: int
    rounds: int
    watchers: int
    rows: int
    """Installations that are upserted."""


def run(spec: ApiSpec, database: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `say` is told what is being measured.

    Args:
        database: the URL of a PostgreSQL database, in which a schema is made and dropped at the end; `sqlite`: SQLite
            files in a temporary folder; None: a PostgreSQL server is started for it.

    Returns: a JSON object, described in `bench/README.md`.

    Raises:
        InvalidConfiguration: the database's URL isn't PostgreSQL's, or there is no server to start.
    """
    if database not in (None, SQLITE) and not database.startswith("postgresql://"):
        raise InvalidConfiguration(
            f"--database must be postgresql://user:password@host/database, or {SQLITE} for temporary files"
        )
    fast = ("--mode", "fast")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        if database is None:
            database = stack.enter_context(postgres_server()).url
        say(f"making {counted(spec.recipients, 'installation')}")
        store, audience = stack.enter_context(_tables(database, folder, spec.recipients))
        with simulator("apns", *fast, "--watch", WATCHED) as (apns, seen), simulator("fcm", *fast) as (fcm, _):
            config = campaigns.config_of(store, audience, apns, fcm, {"api": API})
            with served(config) as service:
                found = uvloop.run(_measure(config, service, spec, folder, say))
    return {**found.rates(spec), **found.answers(seen["seen"]), **found.streams}


def _tables(database: str, folder: Path, recipients: int) -> AbstractContextManager[tuple[str, str]]:
    return campaigns.sqlite(folder, recipients) if database == SQLITE else campaigns.postgresql(database, recipients)


class _Found:
    """What was measured."""

    def __init__(self) -> None:
        self.alone: list[float] = []
        """Seconds of each campaign."""
        self.watched: list[float] = []
        self.asked: list[float] = []
        self.api_cpu: dict[str, list[float]] = {"alone": [], "watched": []}
        """CPU seconds of the API's process during each campaign."""
        self.accepted: list[int] = []
        """Recipients of each campaign whom the simulators took."""
        self.watchers: list[Watched] = []
        self.sent = Sent()
        self.created: list[float] = []
        """Seconds of each creation of a campaign for everybody."""
        self.created_for_one: list[float] = []
        self.stored: list[float] = []
        """Seconds of each draft that is stored without a look at its audience (`count=false`)."""
        self.streams: dict[str, Any] = {}

    def rates(self, spec: ApiSpec) -> dict[str, Any]:
        """How fast the campaigns were."""
        ratios = [alone / watched for alone, watched in zip(self.alone, self.watched, strict=True)]
        everything = {"alone": self.alone, "watched": self.watched, "asked": self.asked}
        return {
            **msgspec.to_builtins(spec),
            "rate": {name: round(spec.recipients / median(seconds)) for name, seconds in everything.items()},
            "ratio": round(median(ratios), 3),
            "ratios": [round(ratio, 3) for ratio in ratios],
            "complete": all(accepted == spec.recipients for accepted in self.accepted),
            "events": sum(each.events for each in self.watchers),
            "ended": sum(each.ended for each in self.watchers),
            "api_cpu_seconds": {name: round(median(used), 2) for name, used in self.api_cpu.items()},
            "watchers_cpu_seconds": round(median(each.cpu for each in self.watchers), 2),
        }

    def answers(self, seen: dict[str, float]) -> dict[str, Any]:
        """How soon requests were answered, and messages were at the provider."""
        return {
            "created": len(self.created),
            "create_ms": quantiles(self.created),
            "create_for_one_ms": quantiles(self.created_for_one),
            "create_uncounted_ms": quantiles(self.stored),
            **self.sent.figures(seen),
        }


async def _measure(config: Config, service: Served, spec: ApiSpec, folder: Path, say: Callable[[str], None]) -> _Found:
    found = _Found()
    async with Stentor(config, roles_elsewhere=True) as stentor:
        secret = (await stentor.access.keys.create(local_caller(), "bench", Scope.ADMIN)).text
        async with Client(service.url, secret) as client:
            first = Sent()
            await first.timed(_sender(client))  # with it credentials are read and connections are opened
            await first.settle(stentor)
            campaign = ""

            async def send(meanwhile: Callable[[str], AbstractAsyncContextManager[None]]) -> tuple[float, float]:
                """Seconds that the campaign takes, and CPU seconds of the API's process."""
                nonlocal campaign
                campaign = (await stentor.campaigns.create(_draft())).id
                async with meanwhile(campaign):
                    used = _cpu(service)
                    await stentor.campaigns.start(campaign)
                    report = await stentor.roles.watch(campaign)
                    used = _cpu(service) - used
                found.accepted.append(report.total.accepted)
                return seconds_of(report.campaign), used

            async def alone() -> None:
                seconds, used = await send(lambda _: nullcontext())
                found.alone.append(seconds)
                found.api_cpu["alone"].append(used)

            async def watched() -> None:
                seconds, used = await send(
                    lambda name: watching(WatchSpec(service.url, secret, name, spec.watchers), found.watchers)
                )
                found.watched.append(seconds)
                found.api_cpu["watched"].append(used)

            say(f"a campaign to {counted(spec.recipients, 'recipient')} that is not counted")
            await send(lambda _: nullcontext())  # with it tables and caches grow to what they are in all others
            for number in range(spec.rounds):
                say(f"round {number + 1} of {spec.rounds}: a campaign alone, and one with {spec.watchers} watchers")
                for step in (alone, watched) if number % 2 == 0 else (watched, alone):
                    await step()
                say(f"round {number + 1} of {spec.rounds}: a campaign while others are created and messages are sent")
                found.asked.append((await send(lambda _: _asking(client, found)))[0])
            await found.sent.settle(stentor)
            say(f"upserting {counted(spec.rows, 'installation')}")
            found.streams = {
                "upsert": await _upsert(client, service, spec.rows),
                "export": await _export(client, service, campaign, folder, say),
            }
    return found


def _draft() -> Draft:
    return Draft(Content(message=MESSAGE), Selection(source=AUDIENCE))


def _cpu(service: Served) -> float:
    return 0.0 if service.api is None else cpu_seconds(service.api)


def _peak(service: Served) -> float:
    return 0.0 if service.api is None else round(peak_mb(service.api), 1)


# -- requests during a campaign ---------------------------------------------------------------------------------------


@asynccontextmanager
async def _asking(client: Client, found: _Found) -> AsyncIterator[None]:
    """Messages and new campaigns, for as long as this context lasts."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_repeat(lambda: found.sent.timed(_sender(client)), EVERY, over))
        group.create_task(_repeat(lambda: _create(client, found), CREATE_EVERY, over))
        try:
            yield
        finally:
            over.set()


async def _repeat(ask: Callable[[], Any], every: float, over: asyncio.Event) -> None:
    """Ask, one after the other, at most once in so many seconds."""
    ending = asyncio.create_task(over.wait())
    while not over.is_set():
        await asyncio.gather(ask(), asyncio.wait([ending], timeout=every))


def _sender(client: Client) -> Callable[[str], Any]:
    async def send(token: str) -> str:
        return (await client.messages.send(message=BODY, lane=LANE, addresses=[token])).id

    return send


async def _create(client: Client, found: _Found) -> None:
    """A draft that is not counted, one for one installation, and one for everybody."""
    for audience, count, took in (
        (EVERYBODY, False, found.stored),
        (ONE, True, found.created_for_one),
        (EVERYBODY, True, found.created),
    ):
        began = time.perf_counter()
        await client.campaigns.create(message=BODY, audience=audience, count=count)
        took.append(time.perf_counter() - began)


# -- long streams -----------------------------------------------------------------------------------------------------


async def _upsert(client: Client, service: Served, rows: int) -> dict[str, Any]:
    before = quarter = _peak(service)
    used = _cpu(service)

    def lines() -> Iterator[dict[str, str]]:
        nonlocal quarter
        for number in range(rows):
            if number == rows // 4:
                quarter = _peak(service)
            yield {"id": key(number), "channel": "apns", "address": f"{number:064x}", "language": "de", "plan": "pro"}

    began = time.perf_counter()
    result = await client.installations.upsert_many(lines())
    seconds = time.perf_counter() - began
    return {
        "rate": round(rows / seconds),
        "cpu_us": round((_cpu(service) - used) / rows * 1e6, 2),
        "added": result.counts.added,
        "before_mb": before,
        "quarter_mb": quarter,
        "peak_mb": _peak(service),
    }


async def _export(
    client: Client, service: Served, campaign: str, folder: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    found: dict[str, Any] = {"before_mb": _peak(service)}
    for kind in get_args(ExportFormat):
        say(f"exporting the recipients of a campaign as {kind}")
        with (folder / f"recipients.{kind}").open("w+b") as file:
            began, used = time.perf_counter(), _cpu(service)
            await client.outcomes.save_recipients(campaign, file, format=kind)
            seconds, used = time.perf_counter() - began, _cpu(service) - used
            file.seek(0)
            rows = sum(1 for _ in file) - (kind == "csv")  # without the names of its columns
        found[kind] = {"rows": rows, "rate": round(rows / seconds), "cpu_us": round(used / max(1, rows) * 1e6, 2)}
    return {**found, "peak_mb": _peak(service)}
