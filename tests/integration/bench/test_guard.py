"""Servers of one's own end, and their folders go, although the process that started them had no time for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # has no annotations
import pytest

from tests.integration.processes import is_gone, until

WAITING = "print(url, *ports, flush=True); signal.pause()"
PARENTS = {
    "tests": f"""
import signal
from stentor.testing.postgres import run_postgres
with run_postgres() as server:
    url, ports = server.url("postgres"), ()
    {WAITING}
""",
    "a bench": f"""
import signal
from stentor.bench.servers import nats_servers, postgres_server
with nats_servers(2) as nats, postgres_server() as server:
    url, ports = server.url, [each.rpartition(":")[2] for each in nats.url.split(",")]
    {WAITING}
""",
}
INITIALIZING = """
from stentor.testing.postgres import run_postgres
with run_postgres():
    pass
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's: for root, PostgreSQL runs as another user, whom other pytests may shut out of that meanwhile."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def start(source: str, folder: Path) -> subprocess.Popen[str]:
    """A process that keeps its servers in this folder. Its guards have its error output for as long as they are."""
    return subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def is_free(port: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(port))) != 0


def left(folder: Path) -> list[Path]:
    """Beside a lock file of the wheel's own, which has to stay."""
    return [*folder.glob("stentor-*")]


def processes_in(folder: Path) -> list[int]:
    """Those whose command names it."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            if str(folder).encode() in file.read_bytes():
                found.append(int(file.parent.name))
    return found


@pytest.mark.parametrize("source", PARENTS.values(), ids=PARENTS.keys())
async def test_they_go_with_a_parent_that_is_killed(source: str, folder: Path) -> None:
    with start(source, folder) as parent:
        assert parent.stdout is not None
        url, *ports = (await asyncio.to_thread(parent.stdout.readline)).split()
        assert not any(map(is_free, ports))
        connection = await asyncpg.connect(url)
        pid = int((await connection.fetchval("SELECT pg_read_file('postmaster.pid')")).split()[0])
        assert not is_gone(pid)

        waiting = asyncio.create_task(connection.execute("SELECT pg_sleep(30)"))
        await asyncio.sleep(0)  # now it has been asked
        parent.kill()
        # In good order: of a crash, or of a server that finds its files gone, it would say something else.
        with pytest.raises(asyncpg.ConnectionDoesNotExistError, match="terminating connection due to administrator"):
            await waiting
        assert await asyncio.to_thread(parent.communicate) == ("", "")
    assert left(folder) == []
    await until(lambda: is_gone(pid))
    await until(lambda: all(map(is_free, ports)))


async def test_a_parent_is_killed_while_its_server_is_being_made(folder: Path) -> None:
    with start(INITIALIZING, folder) as parent:
        await until(lambda: any(folder.glob("stentor-*/data/postmaster.pid")))
        assert processes_in(folder)
        parent.kill()
        assert await asyncio.to_thread(parent.communicate) == ("", "")
    await until(lambda: not processes_in(folder))
    assert left(folder) == []
