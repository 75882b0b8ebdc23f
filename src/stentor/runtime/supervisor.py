"""Starts the roles as processes, starts those that die again, and stops all of them.

Rules: nothing it starts outlives it (a worker stops when its stdin ends, even after a SIGKILL here); a worker that
keeps dying is started again ever more slowly, and its last words are told (`Supervisor.problems`); one that never gets
to work ends it all (`Supervisor.check`); a stop is graceful first. What the first push waits for starts first, alone:
loading modules is most of a start, and what loads them on the same cores meanwhile holds it up. Where it listens, each
worker answers probes on a port of its own, which only this machine can reach, and one address answers for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import msgspec

from stentor.config import Config, dump
from stentor.errors import WorkerFailed
from stentor.runtime.child import LATER, Role
from stentor.runtime.health import ProbeResult
from stentor.runtime.logs import MARK
from stentor.runtime.plain_http import PlainPage, Unanswered, get, listening
from stentor.runtime.probes import pages

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before a worker that died is started again: doubled each time, until one has lived for a while."""
LIVED = 30.0
"""Seconds after which a worker counts as having worked."""
TURNS: dict[Role, int] = {"planner": 0, "sender": 0, "recorder": 1, "scheduler": 2, "api": 2}
"""When the first of a role starts, of three turns; the others of those that come first start with the second."""
HEAD_START = 3.0
"""Seconds that those of a turn have to be at work before the next one's start anyway."""
BREATH = 0.5
"""Seconds for which those that are at work then have the cores to themselves."""
EXTRA = 5.0
"""Seconds that a worker has to end beyond those it has to finish its work."""
AT_ONCE = 10.0
"""Seconds before which a worker that ends with an error never got to work."""
HOPELESS = 7
"""Deaths in a row of that kind, other than for want of the store or the queue, after which there is no sense in another
start. A batch that kills its senders is put aside before that (`SendingConfig.deliveries`)."""
LAST_WORDS = 4000
"""Bytes of a dead worker's stderr that are shown at most."""
LONGEST_LINE = 2**20
"""Bytes of a line on a worker's stdout."""
ANSWER_WITHIN = 4.0
"""Seconds that a worker has to answer a probe; its own answers may take half of that."""
SELF = "supervisor"
"""What it calls itself where it names processes."""
CHILDREN = "127.0.0.1:0"
"""Where workers listen."""


class Closing(msgspec.Struct, frozen=True):
    """What a worker cost, by its own account."""

    role: Role
    cpu_seconds: float
    stages: dict[str, float]
    """CPU seconds by stage; `startup` is what it took until it was ready, which no recipient adds to."""
    peak_mb: float
    """Resident memory at its highest, in MiB."""


class _AtWork(msgspec.Struct, frozen=True):
    """A worker's first line."""

    listening: str | None


@dataclass(slots=True)
class _Worker:
    role: Role
    name: str
    """The role and a number, the same after a restart."""
    turn: int
    """See `TURNS`."""
    process: asyncio.subprocess.Process | None = None
    address: str | None = None
    """Where it answers probes; None before it does, and after it has died."""
    deaths: int = 0
    """In a row, without having lived for a while."""
    hopeless: int = 0
    """Those of them that came at once, by its own fault."""
    last_words: str = ""
    watcher: asyncio.Task[None] | None = field(default=None, repr=False)
    started: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """It has its settings, or need not be waited for."""
    settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """It is at work, or never will be: it died before, or all is to stop."""

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """The roles of one machine. Use as an async context manager."""

    def __init__(
        self,
        config: Config,
        roles: Sequence[Role],
        *,
        listen: str | None = None,
        relay: bool = False,
        doors: Sequence[socket.socket] = (),
    ) -> None:
        """Args:
        listen: where to answer probes for all workers (`HOST:PORT`, port 0: the system's choice); None: nowhere.
        relay: write what the workers log to our stderr, and log what else they say there, a line at a time.
        doors: sockets that listen already, on which the API's process answers; who comes while that one is started
            again waits.
        """
        self._config = config
        self._settings = dump(config) + b"\n"
        self._workers = []
        for place, role in enumerate(roles):
            number = roles[:place].count(role) + 1
            turn = TURNS[role] if number == 1 else max(1, TURNS[role])
            self._workers.append(_Worker(role, f"{role}-{number}", turn))
        self._stopping = asyncio.Event()
        self._listen = listen
        self._relay = relay
        self._doors = doors
        self._pages = AsyncExitStack()
        self.address: str | None = None
        """Where it answers probes."""
        self.restarts: Counter[Role] = Counter()
        """How often a process was started again after it had died."""
        self.closings: list[Closing] = []
        """Of the workers that ended properly."""

    def __repr__(self) -> str:
        return f"<Supervisor of {len(self._workers)}, processes {self.processes}>"

    @property
    def processes(self) -> dict[int, Role]:
        """The processes that run now, by their ids."""
        return {
            worker.process.pid: worker.role for worker in self._workers if worker.process is not None and worker.runs
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
                    f"{worker.last_words}. It was started {worker.deaths} times and died each time. Nothing is lost:"
                    " fix that, and run it again to continue"
                )

    async def begun(self, role: Role) -> bool:
        """Wait until the first process of a role is at work. Returns: whether it is; False: it died, or all stops."""
        first = next(worker for worker in self._workers if worker.role == role)
        await first.settled.wait()
        return first.runs and not self._stopping.is_set()

    # -- what probes are told ---------------------------------------------------------------------------------------

    async def alive(self) -> ProbeResult:
        """Whether every worker runs and counts itself alive; those that are being started do."""
        if self._stopping.is_set():
            return ProbeResult(role=SELF, ok=True, notes=["stopping"])
        problems = [f"{each.name}: it is not running" for each in self._workers if each.process and not each.runs]
        findings = await _ask([worker for worker in self._workers if worker.address is not None], "/healthz")
        problems += [f"{worker.name}: {problem}" for worker, finding in findings for problem in finding.problems]
        return ProbeResult(role=SELF, ok=not problems, problems=problems)

    async def ready(self) -> ProbeResult:
        """Whether of each role at least one worker is ready."""
        if self._stopping.is_set():
            return ProbeResult(role=SELF, ok=False, problems=["stopping"])
        findings = await _ask(self._workers, "/readyz")
        ready = {worker.role for worker, finding in findings if finding.ok}
        problems: list[str] = []
        notes: list[str] = []
        for worker, finding in findings:
            complaints = notes if worker.role in ready else problems
            complaints += [f"{worker.name}: {problem}" for problem in finding.problems]
            notes += [f"{worker.name}: {note}" for note in finding.notes]
        return ProbeResult(role=SELF, ok=not problems, problems=problems, notes=notes)

    async def metrics(self) -> PlainPage:
        """All workers' metrics and our own, each labelled with its process. Who doesn't answer is left out."""
        from stentor.runtime.metrics import join, of_supervisor, render  # noqa: PLC0415 - see `probes.watched`

        wanted, running = Counter(worker.role for worker in self._workers), Counter(self.processes.values())
        own = render(lambda: of_supervisor(running, wanted, self.restarts))
        answers = await asyncio.gather(*(_get(worker, "/metrics") for worker in self._workers))
        found = {worker.name: each.body for worker, each in zip(self._workers, answers, strict=True) if each}
        return join({SELF: own.body, **found})

    # -- starting and stopping --------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Returns when all are started and have their settings; they go on even if this loop is then held up.

        Raises: InvalidConfiguration: it cannot listen where it should; nothing was started.
        """
        if self._listen is not None:
            answer = pages(self.alive, self.ready, self.metrics)
            self.address = await self._pages.enter_async_context(listening(self._listen, answer))
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
        for worker in self._workers:
            worker.settled.set()
        self._signal(signal.SIGTERM)
        watchers = [worker.watcher for worker in self._workers if worker.watcher is not None]
        try:
            await asyncio.wait(watchers, timeout=self._config.sending.stop_within + EXTRA)
        finally:  # also where somebody doesn't want to wait for that
            self._signal(signal.SIGKILL)
            await asyncio.gather(*watchers, return_exceptions=True)
            await self._pages.aclose()

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process is not None and worker.runs:
                with suppress(ProcessLookupError):  # it has ended just now
                    worker.process.send_signal(number)

    async def _keep(self, worker: _Worker) -> None:
        """Run a worker, again and again until it is told to stop."""
        if worker.turn:
            worker.started.set()
            await self._until_its_turn(worker)
        again = False
        while not self._stopping.is_set():
            self.restarts[worker.role] += again
            again = True
            began = time.monotonic()
            try:
                code, said, complained = await self._run(worker)
            except OSError as error:
                code, said, complained = 1, b"", f"it cannot be started: {error.strerror}"
                worker.started.set()
            worker.settled.set()
            if code == 0:
                self.closings.append(msgspec.json.decode(said, type=Closing))
                continue
            if self._stopping.is_set() and code == -signal.SIGTERM:
                return  # told to stop before it had begun
            lived = time.monotonic() - began
            worker.deaths = 1 if lived > LIVED else worker.deaths + 1
            own_fault = code > 0 and code != LATER and lived < AT_ONCE
            worker.hopeless = worker.hopeless + 1 if own_fault else 0
            worker.last_words = f"the {worker.role} ended with {_how(code)}: {complained or 'it said nothing'}"
            last_line = complained.rpartition("\n")[2] or "it said nothing"
            logger.warning("%s ended with %s: %s", worker.name, _how(code), last_line)
            await self._pause(min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (worker.deaths - 1)))

    async def _until_its_turn(self, worker: _Worker) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(HEAD_START):
                for earlier in self._workers:
                    if earlier.turn < worker.turn:
                        await earlier.settled.wait()
        await self._pause(BREATH)

    async def _run(self, worker: _Worker) -> tuple[int, bytes, str]:
        """Its exit code, the last line it said, and the end of its complaints."""
        doors = [each.fileno() for each in self._doors] if worker.role == "api" else []
        process = worker.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "stentor.runtime.process",
            worker.role,
            *(() if self._listen is None else ("--listen", CHILDREN)),
            *(f"--socket={number}" for number in doors),
            pass_fds=doors,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,  # a Ctrl-C at the terminal is for us alone; we tell them what to do
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(self._settings)
        logger.info("%s runs as process %d", worker.name, process.pid)
        worker.started.set()
        if self._stopping.is_set():
            process.terminate()
        well = asyncio.get_running_loop().call_later(LIVED, _forgive, worker)
        try:
            said, complained = await asyncio.gather(
                self._hear(worker, process.stdout), _last_words(worker.name, process.stderr, relay=self._relay)
            )
        finally:
            well.cancel()
            worker.address = None
        return await process.wait(), said, complained

    async def _hear(self, worker: _Worker, stdout: asyncio.StreamReader) -> bytes:
        """The last line it says. Its first says that it is at work, and if it listens, where."""
        last = b""
        async for line in stdout:
            if not last:
                worker.settled.set()
                with suppress(msgspec.MsgspecError):  # it ends already: this is its closing line
                    worker.address = msgspec.json.decode(line, type=_AtWork).listening
            last = line
        return last

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _forgive(worker: _Worker) -> None:
    worker.last_words = ""


async def _get(worker: _Worker, path: str) -> PlainPage | None:
    """What it answers; None where it doesn't."""
    if worker.address is None:
        return None
    with suppress(Unanswered):
        return await get(worker.address, path, ANSWER_WITHIN)
    return None


async def _ask(workers: Sequence[_Worker], path: str) -> list[tuple[_Worker, ProbeResult]]:
    """What each says of itself, or what is to be said of one that says nothing."""
    answers = await asyncio.gather(*(_get(worker, path) for worker in workers))
    return [
        (worker, _silence(worker) if answer is None else msgspec.json.decode(answer.body, type=ProbeResult))
        for worker, answer in zip(workers, answers, strict=True)
    ]


def _silence(worker: _Worker) -> ProbeResult:
    silent = "it does not answer" if worker.address else "it is starting" if worker.runs else "it is not running"
    return ProbeResult(role=worker.role, ok=False, problems=[silent])


async def _last_words(name: str, stderr: asyncio.StreamReader, *, relay: bool) -> str:
    """The end of what a worker says beside its log, however much it is."""
    words = rest = b""
    while some := await stderr.read(65_536):
        *lines, rest = (rest + some).split(b"\n")
        if len(rest) > LONGEST_LINE:  # as if it had ended
            lines, rest = [*lines, rest], b""
        for line in lines:
            words = _hear_line(name, line, words, relay=relay)
    if rest:
        words = _hear_line(name, rest, words, relay=relay)
    return words.decode(errors="replace").strip()


def _hear_line(name: str, line: bytes, words: bytes, *, relay: bool) -> bytes:
    """Relay a line, and give what counts as last words after it."""
    text = line.decode(errors="replace")
    if text.startswith(MARK):
        if relay:
            sys.stderr.write(f"{text.removeprefix(MARK)}\n")
            sys.stderr.flush()
        return words
    if relay and text:
        logger.warning("%s: %s", name, text)
    return (words + line + b"\n")[-LAST_WORDS:]


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
