"""Starts the roles as processes, starts those that die again, and stops all of them.

Rules: nothing it starts outlives it (a worker stops when its stdin ends, even after a SIGKILL here); a worker that
keeps dying is started again ever more slowly, and its last words are shown; a stop is graceful first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from stentor.config import Config, dump
from stentor.runtime.worker import Role

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a worker that died is started again: doubled each time, until one has lived for a while."""
LIVED = 30.0
"""Seconds after which a worker counts as having worked."""
EXTRA = 5.0
"""Seconds that a worker has to end beyond those it has to finish its work."""
LAST_WORDS = 4000
"""Bytes of a dead worker's stderr that are shown at most."""


class Closing(msgspec.Struct, frozen=True):
    """What a worker cost, by its own account."""

    role: Role
    cpu_seconds: float
    peak_mb: float
    """Resident memory at its highest, in MiB."""


@dataclass(slots=True)
class _Worker:
    role: Role
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    watcher: asyncio.Task[None] | None = field(default=None, repr=False)
    started: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class Supervisor:
    """The roles of one machine. Use as an async context manager."""

    def __init__(self, config: Config, roles: Sequence[Role]) -> None:
        self._config = config
        self._settings = dump(config) + b"\n"
        self._workers = [_Worker(role) for role in roles]
        self._stopping = asyncio.Event()
        self.last_words: str | None = None
        """What a worker that died without being told to said last; None while none did."""
        self.closings: list[Closing] = []
        """Of the workers that ended properly."""

    def __repr__(self) -> str:
        return f"<Supervisor of {len(self._workers)}, processes {self.processes}>"

    @property
    def processes(self) -> dict[int, Role]:
        """The processes that run now, by their ids."""
        return {
            worker.process.pid: worker.role
            for worker in self._workers
            if worker.process is not None and worker.process.returncode is None
        }

    async def __aenter__(self) -> Self:
        """Returns when all are started and have their settings; they go on even if this loop is then held up."""
        for worker in self._workers:
            worker.watcher = asyncio.create_task(self._keep(worker), name=f"keep {worker.role}")
        try:
            await asyncio.gather(*(worker.started.wait() for worker in self._workers))
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Have all finish what they hold, then end them."""
        self._stopping.set()
        for pid in self.processes:
            os.kill(pid, signal.SIGTERM)
        watchers = [worker.watcher for worker in self._workers if worker.watcher is not None]
        _, late = await asyncio.wait(watchers, timeout=self._config.sending.stop_within + EXTRA)
        for pid in self.processes:
            os.kill(pid, signal.SIGKILL)
        for watcher in late:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, again and again until it is told to stop."""
        while not self._stopping.is_set():
            began = time.monotonic()
            process = worker.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "stentor.runtime.worker",
                worker.role,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C at the terminal is for us alone; we tell them what to do
            )
            assert process.stdin is not None
            process.stdin.write(self._settings)
            worker.started.set()
            if self._stopping.is_set():
                process.terminate()
            assert process.stdout is not None
            assert process.stderr is not None
            said, complained = await asyncio.gather(process.stdout.read(), _tail(process.stderr))
            code = await process.wait()
            if code == 0:
                self.closings.append(msgspec.json.decode(said, type=Closing))
                continue
            if self._stopping.is_set() and code == -signal.SIGTERM:
                return  # told to stop before it had begun
            worker.deaths = 1 if time.monotonic() - began > LIVED else worker.deaths + 1
            self.last_words = f"the {worker.role} ended with {_how(code)}: {complained or 'it said nothing'}"
            logger.warning("%s", self.last_words)
            await self._pause(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (worker.deaths - 1)))

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of what comes, however much it is."""
    tail = b""
    while some := await stream.read(65_536):
        tail = (tail + some)[-LAST_WORDS:]
    return tail.decode(errors="replace").strip()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
