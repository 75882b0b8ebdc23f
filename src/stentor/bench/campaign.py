"""`stentor bench campaign`: a whole campaign, from the audience's table to the last outcome on disk.

Half of the installations are APNs', half FCM's, in turn, so that both lanes have work all the while and one sender
process serves both, as most apps' does. Settings are the normal ones: everything is as durable as it is for users. What
it is compared with is measured in the same run: h2load, and the wire alone.
"""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import msgspec
import uvloop

from stentor.bench import wire
from stentor.bench.journey import AUDIENCE, Measured
from stentor.bench.processes import simulator
from stentor.bench.wire import Shape
from stentor.config import Config, dump
from stentor.counted import counted
from stentor.errors import InvalidConfiguration

COMPARED = 300_000
"""Requests for each measurement that the campaign is compared with, at most."""
TABLE = "installations"
COLUMNS = {
    "table": TABLE,
    "channels": {"ios": "apns", "android": "fcm"},
    "columns": {"channel": "platform"},
}
"""Where an audience has what, as settings say it."""
PORTION = 50_000
"""Rows that are copied to PostgreSQL at a time."""
STARTUP = "startup"
WATCH = "watch"
"""The process that starts the others and follows the campaign, as a stage."""


def run(recipients: int, database: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `say` is told what is being measured.

    Args:
        recipients: installations in the audience.
        database: the URL of a PostgreSQL database that holds store and audience in a schema of their own, dropped
            afterwards; None: a SQLite file for each in a temporary folder.

    Returns: a JSON object, described in `bench/README.md`.

    Raises:
        InvalidConfiguration: the database's URL isn't PostgreSQL's.
    """
    if database is not None and not database.startswith("postgresql://"):
        raise InvalidConfiguration(
            "--database must be postgresql://user:password@host/database; leave it out for SQLite"
        )
    requests = min(recipients, COMPARED)
    yardstick = wire.yardstick(requests, say)
    rates: dict[Shape, float] = {}
    for shape in wire.SHAPES:
        say(f"wire, {shape}: {counted(requests, 'push', 'pushes')} to the fast simulator")
        plain, _ = wire.push(shape, requests, connections=wire.CONNECTIONS[shape], in_flight=8, latency=0.0)
        rates[shape] = plain.rate
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        say(f"campaign: making {counted(recipients, 'installation')}")
        make = sqlite(folder, recipients) if database is None else postgresql(database, recipients)
        store, audience = stack.enter_context(make)
        say("campaign: sending")
        sent, simulators = send(store, audience)
    return _found(recipients, database, sent, simulators, yardstick, rates)


Summaries = Mapping[str, Mapping[str, Any]]
"""What each simulator says at its end."""


def send(store: str, audience: str, **sections: Mapping[str, Any]) -> tuple[Measured, Summaries]:
    """The campaign, with half of its audience on each lane, and what the simulators say of it.

    Args:
        store, audience: their URLs.
        sections: more settings, by table: `queue`, `sending`.

    Raises: RuntimeError: it failed; says what it complained of.
    """
    fast = ("--mode", "fast")
    with simulator("apns", *fast) as (apns, apns_summary), simulator("fcm", *fast) as (fcm, fcm_summary):
        sent = travel(config_of(store, audience, apns, fcm, sections))
    return sent, {"apns": apns_summary, "fcm": fcm_summary}


def travel(config: Config) -> Measured:
    """A journey with these settings. Raises: RuntimeError: it failed; says what it complained of."""
    journey = subprocess.run(
        [sys.executable, "-m", "stentor.bench.journey"], input=dump(config), capture_output=True, check=False
    )
    if journey.returncode:
        raise RuntimeError(f"the campaign failed:\n{journey.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(journey.stdout, type=Measured)


def config_of(
    store: str,
    audience: str,
    apns: dict[str, Any],
    fcm: dict[str, Any],
    sections: Mapping[str, Mapping[str, Any]],
) -> Config:
    """The settings of a campaign to these simulators, by their facts. See `send` for the other arguments."""
    ios = {key: apns[key] for key in ("url", "ca_file", "key_file", "key_id", "team_id")}
    android = {key: fcm[key] for key in ("url", "ca_file", "service_account_file", "project", "token_url")}
    return Config.model_validate(
        {
            **sections,
            "store": {"url": store},
            "apps": {
                "ios": {"channel": "apns", "topic": "com.example.app", **ios},
                "android": {"channel": "fcm", **android},
            },
            "audiences": {AUDIENCE: {"url": audience, **COLUMNS}},
        }
    )


def _found(
    recipients: int,
    database: str | None,
    sent: Measured,
    simulators: Summaries,
    yardstick: dict[str, Any],
    rates: Mapping[Shape, float],
) -> dict[str, Any]:
    found = figures(recipients, sent, simulators)
    rate = found["rate"]
    best = yardstick["rate"]
    both = _half_each(list(rates.values()))
    shapes = [yardstick[shape]["rate"] for shape in rates] if best else []
    return {
        "recipients": recipients,
        "database": "sqlite" if database is None else "postgresql",
        "ratio_h2load": round(rate / best, 3) if best else None,
        "ratio_h2load_same_shapes": round(rate / _half_each(shapes), 3) if best else None,
        "ratio_wire": round(rate / both, 3),
        **found,
        "h2load": yardstick,
        "wire": {"rate": round(both), **{shape: round(each) for shape, each in rates.items()}},
    }


def figures(recipients: int, sent: Measured, simulators: Summaries) -> dict[str, Any]:
    """What a campaign cost, and whether it is exact; described in `bench/README.md`."""
    seconds = sent.finished_at - sent.started_at
    first = min((each["first_at"] for each in simulators.values() if each["first_at"]), default=None)
    by_stage = {stage: cpu / recipients * 1e6 for stage, cpu in stages(sent).items()}
    return {
        "seconds": round(seconds, 2),
        "rate": round(recipients / seconds),
        "first_push_seconds": None if first is None else round(first - sent.started_at, 3),
        "cpu_us": round(sum(by_stage.values()), 2),
        "stages": {stage: round(cpu, 2) for stage, cpu in by_stage.items()},
        "simulator_cpu_us": {name: each["cpu_us"] for name, each in simulators.items()},
        "peak_mb": round(max(sent.peak_mb, *(role.peak_mb for role in sent.roles)), 1),
        "processes": [
            {"role": role.role, "peak_mb": round(role.peak_mb, 1), "startup_seconds": round(role.stages[STARTUP], 2)}
            for role in sent.roles
        ]
        + [{"role": WATCH, "peak_mb": round(sent.peak_mb, 1), "startup_seconds": None}],
        "accepted": sent.accepted,
        "failed": sent.failed,
        "exact": sent.exact,
        "problems": sent.problems,
    }


def _half_each(rates: Sequence[float]) -> float:
    """The rate at which equal shares of the pushes go, one after the other, at each of these."""
    return len(rates) / sum(1 / rate for rate in rates)


def stages(sent: Measured) -> dict[str, float]:
    """CPU seconds by `role.stage`, all processes of a role together, without their startup."""
    found: dict[str, float] = {}
    for role in sorted(sent.roles, key=lambda role: role.role):
        for stage, cpu in role.stages.items():
            if stage != STARTUP:
                found[f"{role.role}.{stage}"] = found.get(f"{role.role}.{stage}", 0.0) + cpu
    return {**found, WATCH: sent.watching}


# -- the audience -----------------------------------------------------------------------------------------------------


def _rows(recipients: int, *, androids: bool) -> Iterator[tuple[int, str, str]]:
    """Every other one is an iPhone, or none where all are Androids; addresses of the usual lengths, no two alike."""
    for number in range(1, recipients + 1):
        if number % 2 and not androids:
            yield number, "ios", f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC834:064x}"
        else:
            yield number, "android", f"phone{number:017d}:APA91b{number * 0x9E3779B97F4A7C15F39CC0605CEDC834:0134x}"


@contextmanager
def sqlite(folder: Path, recipients: int) -> Iterator[tuple[str, str]]:
    """The URLs of store and audience, each a file of its own, as an app and its Stentor have them."""
    path = folder / "app.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY, platform TEXT, token TEXT)")
        connection.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?)", _rows(recipients, androids=False))
    yield f"sqlite:///{folder / 'stentor.db'}", f"sqlite:///{path}"


@contextmanager
def postgresql(database: str, recipients: int, *, androids: bool = False) -> Iterator[tuple[str, str]]:
    """The URL of both, in a schema that is dropped at the end with all that is in it.

    Args:
        androids: every installation is FCM's, instead of every other one.
    """
    schema = f"stentor_bench_{secrets.token_hex(4)}"
    url = f"{database}{'&' if '?' in database else '?'}search_path={schema}"
    uvloop.run(_fill(url, schema, _rows(recipients, androids=androids)))
    try:
        yield url, url
    finally:
        uvloop.run(_execute(database, f"DROP SCHEMA {schema} CASCADE"))


async def _fill(url: str, schema: str, rows: Iterator[tuple[int, str, str]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE SCHEMA {schema}")
        await connection.execute(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, platform text, token text)")
        while some := list(islice(rows, PORTION)):
            await connection.copy_records_to_table(TABLE, records=some)
        await connection.execute(f"VACUUM ANALYZE {TABLE}")
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
