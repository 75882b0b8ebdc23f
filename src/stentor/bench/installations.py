"""`stentor bench installations`: how fast the registry takes in a stream, beside a plain COPY of the same rows.

COPY is the fastest that PostgreSQL takes in rows: nothing is checked, compared or counted. It goes into a table of the
same columns with the same indexes, in the same run.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import msgspec
import uvloop

from stentor.bench.intake import StreamSpec, StreamTaken, key
from stentor.bench.servers import postgres_server
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.store.tables import installations

TABLE = installations.name
COLUMNS = ("id", "channel", "address", "language", "time_zone", "attributes")
PORTION = 50_000
"""Rows that are copied at a time."""


def run(rows: int, database: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `say` is told what is being measured.

    Args:
        database: the URL of a PostgreSQL database, in which a schema is made and dropped at the end; None: a server is
            started for it.

    Returns: a JSON object, described in `bench/README.md`.

    Raises:
        InvalidConfiguration: the database's URL isn't PostgreSQL's, or there is no server to start.
    """
    if database is not None and not database.startswith("postgresql://"):
        raise InvalidConfiguration("--database must be postgresql://user:password@host/database")
    with ExitStack() as stack:
        if database is None:
            database = stack.enter_context(postgres_server()).url
        url = stack.enter_context(_schema(database))
        taken = {}
        for name, language, what in (
            ("new", "de", "that are new"),
            ("unchanged", "de", "that are there already"),
            ("changed", "fr", "that have changed"),
        ):
            say(f"taking in {counted(rows, 'installation')} {what}")
            taken[name] = _take(StreamSpec(url=url, rows=rows, language=language))
        say(f"COPY of {counted(rows, 'row')}")
        copied = uvloop.run(_copy(url, rows))
    return {
        "rows": rows,
        "copy": round(rows / copied),
        **{name: _rates(each, copied) for name, each in taken.items()},
    }


def _rates(taken: StreamTaken, copied: float) -> dict[str, Any]:
    rows = taken.upserted.read
    return {
        "rate": round(rows / taken.seconds),
        "of_copy": round(copied / taken.seconds, 3),
        "cpu_us": round(taken.cpu / rows * 1e6, 2),
        "peak_mb": round(taken.peak_mb, 1),
        "quarter_mb": round(taken.quarter_mb, 1),
        "upserted": msgspec.to_builtins(taken.upserted),
    }


@contextmanager
def _schema(database: str) -> Iterator[str]:
    """The URL of a schema of its own, dropped at the end with all that is in it."""
    name = f"stentor_bench_{secrets.token_hex(4)}"
    uvloop.run(_execute(database, f"CREATE SCHEMA {name}"))
    try:
        yield f"{database}{'&' if '?' in database else '?'}search_path={name}"
    finally:
        uvloop.run(_execute(database, f"DROP SCHEMA {name} CASCADE"))


def _take(spec: StreamSpec) -> StreamTaken:
    done = subprocess.run(
        [sys.executable, "-m", "stentor.bench.intake"],
        input=msgspec.json.encode(spec) + b"\n",
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the stream failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=StreamTaken)


async def _copy(url: str, rows: int) -> float:
    """Seconds that it takes."""
    given = ((key(n), "apns", f"{n:064x}", "de", "Europe/Berlin", '{"plan":"pro"}') for n in range(rows))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"CREATE TABLE copied (LIKE {TABLE} INCLUDING ALL)")
        seconds = 0.0
        while some := list(islice(given, PORTION)):  # made before it is measured
            began = time.perf_counter()
            await connection.copy_records_to_table("copied", columns=COLUMNS, records=some)
            seconds += time.perf_counter() - began
        return seconds
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
