"""A Stentor as people run it: `stentor serve` with its dashboard, over an app's database and simulated providers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from stentor.access.caller import local_caller
from stentor.access.scopes import Scope
from stentor.config import load
from stentor.runtime.stentor import Stentor
from tests.integration.cli.commands import COMMAND
from tests.integration.processes import until
from tests.integration.runtime.rehearsal import Facts, write

SETTINGS = '\n[api]\nlisten = "127.0.0.1:0"\nrate = 100_000\n'
"""Of the API: any free port, and as many requests as a test wants."""
PROCESS = re.compile(r"INFO api-1 runs as process (\d+)")
ADDRESS = re.compile(r"the API and the dashboard are at (\S+)")


class Server:
    """One that runs, and its store, seen from within the test."""

    def __init__(self, log: Path, settings: Path, stentor: Stentor) -> None:
        self._log = log
        self.settings = settings
        """The file."""
        self.stentor = stentor
        self.url = ""

    def said(self) -> str:
        """All that it logged."""
        return self._log.read_text("utf-8")

    def starts(self) -> int:
        """How often the process that answers requests has started."""
        return len(ADDRESS.findall(self.said()))

    async def started(self, times: int = 1) -> None:
        """Wait until it has started so often."""
        await until(lambda: self.starts() >= times)
        self.url = ADDRESS.findall(self.said())[-1]

    def kill_api(self) -> None:
        """End the process that answers requests, as a crash does. It is started again."""
        os.kill(int(PROCESS.findall(self.said())[-1]), signal.SIGKILL)

    async def open_session(self, name: str, role: Scope) -> str:
        """The cookie of a session of a user who is made for it. To set a password and sign in takes long."""
        user = await self.stentor.access.users.add(local_caller(), name, role)
        return (await self.stentor.access.sessions.begin(user)).token


@asynccontextmanager
async def serving(folder: Path, facts: Facts, phones: int, *command: str, more: str = "") -> AsyncIterator[Server]:
    """Run `stentor` with this command until the end of the block.

    Args:
        more: settings of [api], and further sections.
    """
    file = write(folder, facts, phones, more=SETTINGS + more)
    log = folder / "stentor.log"
    async with Stentor(load(file, {})) as stentor:
        with log.open("wb") as said, _started(command, file, said.fileno()) as process:
            server = Server(log, file, stentor)
            try:
                await until(lambda: server.starts() > 0 or process.poll() is not None)
                assert process.poll() is None, server.said()
                await server.started()
                yield server
            finally:
                process.terminate()
                process.wait(60)


def _started(command: Sequence[str], file: Path, log: int) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "STENTOR_CONFIG": str(file)}
    return subprocess.Popen([*COMMAND, *command], env=variables, stdout=log, stderr=log)
