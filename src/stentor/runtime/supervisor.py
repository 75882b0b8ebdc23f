"""Starts the roles as processes, starts those that die again, and stops all of them.

Rules: nothing it starts outlives it (a worker stops when its stdin ends, even after a SIGKILL here); a worker that
keeps dying is started again ever more slowly, and its last words are told (`Supervisor.problems`); one that never gets
to work ends it all (`Supervisor.check`); a stop is graceful first.
"""

from __future__ import annotations

import asyncio
import logging
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
from stentor.errors import WorkerFailed
from stentor.runtime.worker import Role

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a worker that died is started again: doubled each time, until one has lived for a while."""
LIVED = 30.0
"""Seconds after which a worker counts as having worked."""
STAGGER = 0.5
"""Seconds between the starts of workers of one role: the first is at work sooner when the others don't load their
modules on the same cores meanwhile."""
EXTRA = 5.0
"""Seconds that a worker has to end beyond those it has to finish its work."""
AT_ONCE = 10.0
"""Seconds before which a worker that ends with an error never got to work."""
HOPELESS = 7
"""Deaths in a row of that kind after which there is no sense in another start. A batch that kills its senders is put
aside before that (`SendingConfig.deliveries`)."""
LAST_WORDS = 4000
"""Bytes of a dead worker's stderr that are shown at most."""


class Closing(msgspec.Struct, frozen=True):
    """What a worker cost, by its own account."""

    role: Role
    cpu_seconds: float
    stages: dict[str, float]
    """CPU seconds by stage; `startup` is what it took until it was ready, which no recipient adds to."""
    peak_mb: float
    """Resident memory at its highest, in MiB."""


@dataclass(slots=True)
class _Worker:
    role: Role
    after: float = 0.0
    """Seconds before it is started for the first time."""
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    """In a row, without having lived for a while."""
    hopeless: int = 0
    """Those of them that came at once, by its own fault."""
    last_words: str = ""
    watcher: asyncio.Task[None] | None = field(default=None, repr=False)
    started: asyncio.Event = field(default_factory=asyncio.Event, repr=False)


class Supervisor:
    """The roles of one machine. Use as an async context manager."""

    def __init__(self, config: Config, roles: Sequence[Role]) -> None:
        self._config = config
        self._settings = dump(config) + b"\n"
        self._workers = [_Worker(role, after=STAGGER * roles[:number].count(role)) for number, role in enumerate(roles)]
        self._stopping = asyncio.Event()
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

    @property
    def problems(self) -> dict[str, str]:
        """Why roles don't work, or not as many as should: what a worker that died said last, until it works again."""
        return {worker.role: worker.last_words for worker in self._workers if worker.last_words}

    def check(self) -> None:
        """Raises: WorkerFailed: a worker never gets to work, however often it is started."""
        for worker in self._workers:
            if worker.hopeless >= HOPELESS:
                raise WorkerFailed(
                    f"{worker.last_words}. It was started {worker.deaths} times in vain; nothing is lost, and it goes"
                    " on when it is run again after that was mended"
                )

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
        self._signal(signal.SIGTERM)
        watchers = [worker.watcher for worker in self._workers if worker.watcher is not None]
        try:
            await asyncio.wait(watchers, timeout=self._config.sending.stop_within + EXTRA)
        finally:  # also where somebody doesn't want to wait for that
            self._signal(signal.SIGKILL)
            await asyncio.gather(*watchers, return_exceptions=True)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.process.returncode is None:
                with suppress(ProcessLookupError):  # it has ended just now
                    worker.process.send_signal(number)

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, again and again until it is told to stop."""
        if worker.after:
            worker.started.set()
            await self._pause(worker.after)
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code, said, complained = await self._run(worker)
            except OSError as error:
                code, said, complained = 1, b"", f"it cannot be started: {error.strerror}"
                worker.started.set()
            if code == 0:
                self.closings.append(msgspec.json.decode(said.splitlines()[-1], type=Closing))
                continue
            if self._stopping.is_set() and code == -signal.SIGTERM:
                return  # told to stop before it had begun
            lived = time.monotonic() - began
            worker.deaths = 1 if lived > LIVED else worker.deaths + 1
            worker.hopeless = worker.hopeless + 1 if code > 0 and lived < AT_ONCE else 0
            worker.last_words = f"the {worker.role} ended with {_how(code)}: {complained or 'it said nothing'}"
            logger.warning("%s", worker.last_words)
            await self._pause(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (worker.deaths - 1)))

    async def _run(self, worker: _Worker) -> tuple[int, bytes, str]:
        """Its exit code, all it said, and the end of its complaints."""
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
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(self._settings)
        worker.started.set()
        if self._stopping.is_set():
            process.terminate()
        well = asyncio.get_running_loop().call_later(LIVED, _forgive, worker)
        try:
            said, complained = await asyncio.gather(process.stdout.read(), _tail(process.stderr))
        finally:
            well.cancel()
        return await process.wait(), said, complained

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _forgive(worker: _Worker) -> None:
    worker.last_words = ""


async def _tail(stream: asyncio.StreamReader) -> str:
    """The end of what comes, however much it is."""
    tail = b""
    while some := await stream.read(65_536):
        tail = (tail + some)[-LAST_WORDS:]
    return tail.decode(errors="replace").strip()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
