"""A pool of connections to one endpoint: bursts in, settled `Results` out.

The one way in is `Pool.send`; several bursts may be under way at once. Requests that were certainly not processed
(refused, above a GOAWAY's last stream id, never written) are sent again here a few times, since a provider that
rotates its connections is no failure; what is ambiguous never is, that decision belongs to whoever knows the
provider's means against duplicates. Rules: decisions are `policy.py`'s; a request waits here, in order, until a link
has room for it, and nothing waits anywhere else.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from stentor.errors import ConnectFailed, PoolClosed
from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.connection import Flight, State
from stentor.http2.policy import Ceiling, ConnectBudget, CpuShare, backoff, connections_to_open
from stentor.http2.transport import Endpoint, Link, Timing, connect

TICK = 0.1
"""Seconds between looks at deadlines and growth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    max_connections: int = 16
    """APNs resolves to about 8 addresses and gains little past two connections each."""
    resends: int = 5
    """How often a request that was not processed is tried again before it is reported as such."""
    patience: float = 60.0
    """Seconds in which the pool could write nothing at all, after which what waits is reported as not processed."""
    connects_per_second: float = 1.0
    """Connects allowed in the long run, after a first burst of `max_connections`."""
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A snapshot for displays and logs."""

    connections: int
    connecting: int
    open_streams: int
    stream_limit: int
    waiting: int
    last_error: str | None


class _Job(Flight):
    """A flight, what of it is still to be written, and who waits for it."""

    __slots__ = ("done", "resent", "since", "todo", "unwritten")

    def __init__(self, burst: Burst, done: asyncio.Future[None], now: float) -> None:
        super().__init__(burst)
        self.done = done
        self.todo: deque[Sequence[int]] = deque([range(len(burst))])
        self.unwritten = len(burst)
        self.resent: dict[int, int] = {}
        self.since = now


class Pool:
    """Connections to one endpoint, opened as they are needed. Use as an async context manager, or `aclose` it.

    Example:
        async with Pool(Endpoint(host="api.push.apple.com", tls=tls_context())) as pool:
            results = await pool.send(burst)
    """

    def __init__(self, endpoint: Endpoint, options: PoolOptions | None = None) -> None:
        self._endpoint = endpoint
        self._options = options or PoolOptions()
        self._jobs: list[_Job] = []
        self._links: list[Link] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False  # takes no new bursts
        self._closed = False  # sends nothing any more
        self._ceiling = Ceiling(self._options.max_connections)
        self._failures = 0
        self._connect_after = 0.0
        self._budget = ConnectBudget(self._options.max_connections, self._options.connects_per_second)
        self._last_error: str | None = None
        self._moved = 0.0  # when anything was written last
        self._goaway_debug = b""
        self._cpu = CpuShare()

    def __repr__(self) -> str:
        return f"<Pool {self._endpoint} {self.state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose(0.0 if kind else None)

    @property
    def state(self) -> PoolState:
        return PoolState(
            connections=len(self._links),
            connecting=len(self._connecting),
            open_streams=sum(link.connection.open_streams for link in self._links),
            stream_limit=sum(link.connection.max_streams for link in self._links),
            waiting=sum(job.unwritten for job in self._jobs),
            last_error=self._last_error,
        )

    @property
    def goaway_debug(self) -> bytes:
        """The GOAWAY debug data of the connection that ended last, empty if it had none; APNs tells credential problems
        there, as JSON."""
        return self._goaway_debug

    async def send(self, burst: Burst) -> Results:
        """Send all requests of a burst and wait until each is settled.

        The results' fates say of each request whether it was answered, certainly not processed or ambiguous. If the
        caller is cancelled, what wasn't written yet is not sent any more.

        Raises:
            PoolClosed: the pool is closed; nothing was sent.
        """
        if self._closing:
            raise PoolClosed
        if not len(burst):
            return Results(0)
        loop = asyncio.get_running_loop()
        job = _Job(burst, loop.create_future(), loop.time())
        self._jobs.append(job)
        if self._ticker is None:
            self._ticker = loop.create_task(self._tick_forever())
            self._ticker.add_done_callback(self._notice_defect)
        self._spread()
        self._grow()
        try:
            await job.done
        finally:
            if job in self._jobs:  # cancelled
                self._jobs.remove(job)
        return job.results

    async def aclose(self, drain: float | None = None) -> None:
        """Stop taking bursts, let those under way finish within `drain` seconds (default: as long as an answer may
        take), then close every connection. What is left unwritten by then is reported as not processed."""
        self._closing = True
        limit = self._options.timing.answer if drain is None else drain
        pending = [job.done for job in self._jobs]
        if pending and limit > 0:
            await asyncio.wait(pending, timeout=limit)
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        for task in self._connecting:
            task.cancel()
        links = list(self._links)
        for link in links:
            if link.connection.open_streams:
                link.abort("the pool was closed")
            else:
                link.drain()
        for job in list(self._jobs):
            self._give_up(job, "the pool was closed")
        self._settle_finished()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        await asyncio.gather(*(link.closed for link in links))

    # -- from the links ---------------------------------------------------------------------------------------------

    def on_progress(self, link: Link) -> None:
        """A link read something: take back what it returned, settle what is done, give it more."""
        if link not in self._links:
            return  # its connect isn't over yet
        if self._failures and link.connection.responses:
            self._failures = 0
        if link.connection.returned:
            self._take_back(link)
            self._spread()
            self._grow()
        self._feed(link, link.free_streams)
        self._settle_finished()

    def on_lost(self, link: Link) -> None:
        """A link is over. One that never answered anything counts as a failed connect, or a provider that accepts
        and hangs up would see us come back in a storm."""
        self._goaway_debug = link.connection.goaway_debug
        if link in self._links:
            self._links.remove(link)
            self._last_error = link.error
            if link.connection.responses == 0 or link.connection.told_to_calm_down:
                self._failed()
        self._take_back(link)
        self._settle_finished()
        if not self._closed and self._jobs:
            self._spread()
            self._grow()

    # -- the flow of requests ---------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Divide the waiting requests among the links with room, the least loaded first."""
        ready = [link for link in self._links if link.free_streams]
        ready.sort(key=lambda link: link.connection.open_streams)
        for position, link in enumerate(ready):
            waiting = sum(job.unwritten for job in self._jobs)
            if not waiting:
                return
            self._feed(link, -(-waiting // (len(ready) - position)))
            link.flush()

    def _feed(self, link: Link, most: int) -> None:
        """Give a link up to so many of the waiting requests, oldest burst first."""
        for job in self._jobs:
            while job.todo and most > 0:
                indices = job.todo[0]
                taken = link.submit(job, indices[:most])
                if not taken:
                    return
                self._moved = asyncio.get_running_loop().time()
                job.unwritten -= taken
                most -= taken
                if taken == len(indices):
                    job.todo.popleft()
                else:
                    job.todo[0] = indices[taken:]

    def _take_back(self, link: Link) -> None:
        """Queue what a link certainly didn't send for another try, before everything else."""
        returned, link.connection.returned = link.connection.returned, []
        again: dict[_Job, list[int]] = {}
        for flight, index, reason in returned:
            assert isinstance(flight, _Job)
            tries = flight.resent.get(index, 0)
            if self._closed or flight.done.done() or tries >= self._options.resends:
                flight.settle(index, Fate.NOT_PROCESSED, reason)
            else:
                flight.resent[index] = tries + 1
                again.setdefault(flight, []).append(index)
        for job, indices in again.items():
            job.todo.appendleft(indices)
            job.unwritten += len(indices)

    def _settle_finished(self) -> None:
        finished = [job for job in self._jobs if not job.left]
        for job in finished:
            self._jobs.remove(job)
            if not job.done.done():
                job.done.set_result(None)

    def _give_up(self, job: _Job, reason: str) -> None:
        for indices in job.todo:
            for index in indices:
                job.settle(index, Fate.NOT_PROCESSED, reason)
        job.todo.clear()
        job.unwritten = 0

    # -- connections ------------------------------------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            for link in list(self._links):
                before = link.connection.open_streams
                link.tick(now)
                if link.connection.open_streams != before:
                    self.on_progress(link)
            for job in self._jobs:
                if job.unwritten and now - max(job.since, self._moved) > self._options.patience:
                    self._give_up(job, self._last_error or f"nothing could be sent for {self._options.patience:g} s")
            self._settle_finished()
            self._cpu.look()
            self._grow()

    def _grow(self) -> None:
        """Open connections where they are wanted and allowed."""
        if self._closed or not any(job.unwritten for job in self._jobs):
            return
        now = asyncio.get_running_loop().time()
        if now < self._connect_after:
            return
        live = [link for link in self._links if link.connection.state is State.OPEN]
        wanted = connections_to_open(
            ready=len(live),
            connecting=len(self._connecting) + sum(1 for link in live if not link.connection.responses),
            ceiling=self._ceiling.at(now),
            streams_full=all(link.streams_full for link in live),
            busy=self._cpu.share,
        )
        for _ in range(wanted):
            if not self._budget.take(now):
                return
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
            task.add_done_callback(self._notice_defect)

    async def _connect(self) -> None:
        try:
            link = await connect(self._endpoint, self, self._options.timing)
        except ConnectFailed as error:
            self._last_error = str(error)
            self._failed()
            return
        if link.closed.done():
            self._last_error = link.error
            self._failed()
            return
        self._links.append(link)
        self._spread()

    def _notice_defect(self, task: asyncio.Task[None]) -> None:
        """A task of ours that failed is a defect; whoever waits must see it, not a provider that seems slow."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        for job in self._jobs:
            if not job.done.done():
                job.done.set_exception(error)

    def _failed(self) -> None:
        """A connection could not be made, or was of no use: wait longer each time, and ask for fewer."""
        now = asyncio.get_running_loop().time()
        self._failures += 1
        self._connect_after = now + backoff(self._failures, random.random())
        self._ceiling.lower(len(self._links), now)
