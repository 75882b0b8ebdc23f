"""What `stentor serve` runs, for a bench: all roles of a machine and the API, in processes of their own.

Run as `python -m stentor.bench.served`, its settings as one line of JSON on stdin; prints the API's address as soon as
it answers. It stops when its stdin is closed, so nothing is left over if the bench is killed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from stentor.bench.servers import children
from stentor.config import Config, dump, restore
from stentor.errors import StentorError
from stentor.runtime.stentor import Stentor

API = [b"-m", b"stentor.runtime.process", b"api"]
"""The command line of the API's process, after Python's own."""
STOP_TIMEOUT = 60.0
"""Seconds that the roles have to finish what they hold."""
TAIL = 2000
"""Characters of its log that are shown if it fails."""


@dataclass(frozen=True, slots=True)
class Served:
    """A service that runs."""

    url: str
    api: int | None
    """The id of the API's process. None: the system doesn't tell (any but Linux)."""


@contextmanager
def served(config: Config) -> Iterator[Served]:
    """The service with these settings, ready to answer.

    Raises: StentorError: it did not start; says what it complained of.
    """
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "stentor.bench.served"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(dump(config) + b"\n")
            process.stdin.flush()
            url = process.stdout.readline().decode().strip()
            if not url:
                log.seek(0)
                raise StentorError(f"the service did not start:\n{log.read().decode(errors='replace')[-TAIL:]}")
            yield Served(url, next(filter(_is_api, children(process.pid)), None))
        finally:
            try:
                process.communicate(timeout=STOP_TIMEOUT)  # closes its stdin
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _is_api(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:4] == API
    except OSError:  # it has ended
        return False


async def serve(config: Config) -> None:
    """Serve until stdin is closed."""
    stop = asyncio.Event()

    async def say(url: str) -> None:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()

    async def until_closed() -> None:
        await asyncio.to_thread(sys.stdin.buffer.read)
        stop.set()

    async with Stentor(config) as stentor, asyncio.TaskGroup() as group:
        group.create_task(until_closed())
        await stentor.roles.serve(stop, opened_at=say)


if __name__ == "__main__":
    uvloop.run(serve(restore(sys.stdin.buffer.readline())))
