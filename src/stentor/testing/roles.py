"""Roles as processes that cost next to nothing to start, so that tests can kill them by the hundred.

A process that has imported everything is forked for each (`multiprocessing`'s fork server), instead of starting Python
anew. What runs in it is what `python -m stentor.runtime.process` runs. It stops gracefully on SIGTERM, and when the
test process is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Coroutine
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvloop

from stentor.config import Config, dump, restore
from stentor.errors import StoreUnavailable
from stentor.runtime.child import LATER, Role, first_of
from stentor.runtime.stentor import Stentor
from stentor.runtime.worker import work

ORPHANED = 30.0
"""Seconds in which a role whose test is gone must have stopped; one that hangs would be left running for ever."""
STOPPED = "TtZX"
"""States of threads that run no more (proc(5))."""
STOPPED_EVERY = 0.0005
"""Seconds between two looks whether a process stands still yet."""


class MachineClock:
    """A machine's time of day, by which several processes go; it may be wrong, and be moved while they run."""

    def __init__(self, processes: ForkServerContext, ahead: float = 0.0) -> None:
        """Args:
        ahead: seconds by which it is ahead of the clock here.
        """
        self._ahead = processes.RawValue(ctypes.c_double, ahead)

    def __call__(self) -> float:
        return time.time() + self.ahead

    def __repr__(self) -> str:
        return f"<MachineClock {self.ahead:+g} s>"

    @property
    def ahead(self) -> float:
        """Seconds by which it is ahead of the clock here just now."""
        return float(self._ahead.value)

    def step(self, seconds: float) -> None:
        """Move it at once, for all who go by it."""
        self._ahead.value += seconds


class RoleProcess:
    """A process that runs a role, or a whole `Stentor.run`."""

    def __init__(self, process: BaseProcess, name: str) -> None:
        self._process = process
        self._name = name
        process.start()

    def __repr__(self) -> str:
        return f"<RoleProcess {self._name} {self.pid}>"

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.is_alive()

    @property
    def waits(self) -> bool:
        """Whether it ended since the store or the queue were away, and is to be started again, as supervisors do."""
        return self._process.exitcode == LATER

    async def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        self._process.kill()
        await self.ended()

    async def end(self) -> None:
        """SIGKILL, if it runs."""
        if self.runs:
            await self.kill()

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    async def stop(self) -> int:
        """SIGTERM; returns its exit code when it has ended."""
        self.terminate()
        return await self.ended()

    def suspend(self) -> None:
        """Have it stand still until `go_on`. Returns when it does: a thread that is inside the kernel when the signal
        is sent may still take a lock."""
        os.kill(self.pid, signal.SIGSTOP)
        while self.runs and not _stands_still(self.pid):
            time.sleep(STOPPED_EVERY)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self) -> int:
        """Its exit code, when it has ended: 0, or the signal that ended it, negative. One at a time may wait for it.

        Of one that was told to stop before it had begun it is 0: SIGTERM ends only what doesn't listen to it yet.
        """
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        return 0 if code == -signal.SIGTERM else code


def _stands_still(pid: int) -> bool:
    """Whether every thread of a process is stopped. Where the system doesn't tell, it is taken for it."""
    try:
        threads = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread that ended meanwhile
        return False
    return all(each.rpartition(")")[2].split()[0] in STOPPED for each in threads)


def context() -> ForkServerContext:
    """Where role processes come from. One for a test process is enough."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["stentor.testing.roles"])
    return made


def start_role(
    processes: ForkServerContext, role: Role, config: Config, clock: MachineClock | None = None
) -> RoleProcess:
    """A process that runs a role until it is stopped or killed.

    Args:
        clock: its machine's; None: one that is right.
    """
    return RoleProcess(processes.Process(target=run_role, args=(role, dump(config), clock)), role)


def start_stentor(processes: ForkServerContext, campaign_id: str, config: Config) -> RoleProcess:
    """A process that does what `stentor send` does: starts workers, and watches over them until the campaign's end."""
    return RoleProcess(processes.Process(target=_run_stentor, args=(campaign_id, dump(config))), "stentor")


def run_role(role: Role, settings: bytes, clock: MachineClock | None = None) -> None:
    """What such a process does; `settings` are what `config.dump` made."""
    stop = asyncio.Event()
    _run(work(role, restore(settings), stop, clock=clock or time.time), stop)


def _run_stentor(campaign_id: str, settings: bytes) -> None:
    stop = asyncio.Event()

    async def run() -> None:
        async with Stentor(restore(settings)) as stentor:
            await stentor.roles.run(campaign_id, stop=stop)

    _run(run(), stop)


def _run(work: Coroutine[Any, Any, Any], stop: asyncio.Event) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        parent = multiprocessing.parent_process()
        assert parent is not None

        def orphaned() -> None:
            loop.remove_reader(parent.sentinel)
            stop.set()
            loop.call_later(ORPHANED, os._exit, 1)

        loop.add_reader(parent.sentinel, orphaned)
        try:
            await work
        finally:
            loop.remove_reader(parent.sentinel)

    logging.basicConfig(level=logging.WARNING, format="%(process)d %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run())
        except* StoreUnavailable as errors:
            logging.getLogger(__name__).warning("%s", first_of(errors))
            sys.exit(LATER)
