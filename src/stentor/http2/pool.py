"""A pool of connections to one endpoint: bursts in, settled `Results` out.

The one way in is `Pool.start` (or `send`, which waits as well); several bursts may be under way at once. Requests that
were certainly not processed (refused, above a GOAWAY's last stream id, never written) are sent again here a few times,
since a provider that rotates its connections is no failure; what is ambiguous never is, that decision belongs to
whoever knows the provider's means against duplicates. Rules: decisions are `policy.py`'s; a request waits here, in
order, until a link has room for it, and nothing waits anywhere else.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from stentor.answer_times import AnswerTimes
from stentor.errors import ConnectFailed, PoolClosed
from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.connection import Exchange, State
from stentor.http2.policy import Ceiling, ConnectBudget, CpuShare, Sleep, backoff, connections_to_open
from stentor.http2.transport import Deadlines, Endpoint, Link, connect

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
    timing: Deadlines = field(default_factory=Deadlines)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A snapshot for displays and logs."""

    connections: int
    connecting: int
    open_streams: int
    stream_limit: int
    waiting: int
    responses: int
    """Answers that the connections open now have given."""
    answered: int
    """Answers that all connections have given, those that are closed too."""
    unsettled: int
    """Requests that wait for a connection or for their answer."""
    last_error: str | None


class Sending(Exchange):
    """A burst under way. `results` is filled in as the answers come. Made by `Pool.start`."""

    __slots__ = ("_end", "_pool", "_resent", "_since", "_todo", "_withdrawn", "is_urgent", "unwritten")

    def __init__(self, burst: Burst, pool: Pool, loop: asyncio.AbstractEventLoop, *, is_urgent: bool = False) -> None:
        super().__init__(burst)
        self.is_urgent = is_urgent
        self.unwritten = len(burst)
        """Requests that no connection has taken yet."""
        self._pool = pool
        self._end: asyncio.Future[None] = loop.create_future()
        self._todo: deque[Sequence[int]] = deque([range(len(burst))])  # still to be written
        self._resent: dict[int, int] = {}
        self._since = loop.time()
        self._withdrawn = False

    def __repr__(self) -> str:
        return f"<Sending {len(self.burst)}: {self.left} unsettled, {self.unwritten} of them unwritten>"

    async def done(self) -> Results:
        """Wait until each request is settled. If the waiter is cancelled, the burst is withdrawn."""
        try:
            await asyncio.shield(self._end)
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise
        return self.results

    def withdraw(self, reason: str) -> None:
        """Write no more of these requests: those that weren't written are settled as not processed now, with `reason`,
        those in flight as their answers come."""
        self._withdrawn = True
        self._settle_unwritten(reason)
        self._pool.on_withdrawn()

    def _settle_unwritten(self, reason: str) -> None:
        for indices in self._todo:
            for index in indices:
                self.settle(index, Fate.NOT_PROCESSED, reason)
        self._todo.clear()
        self.unwritten = 0


class Pool:
    """Connections to one endpoint, opened as they are needed. Use as an async context manager, or `aclose` it.

    Example:
        async with Pool(Endpoint(host="api.push.apple.com", tls=tls_context())) as pool:
            results = await pool.send(burst)
    """

    def __init__(
        self, endpoint: Endpoint, options: PoolOptions | None = None, answer_times: AnswerTimes | None = None
    ) -> None:
        """Args:
        answer_times: where it counts how long answers take: of one request at a time on each connection.
        """
        self._endpoint = endpoint
        self._answer_times = answer_times
        self._options = options or PoolOptions()
        self._sendings: list[Sending] = []
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
        self._answered = 0  # on connections that are closed
        self._goaway_debug = b""
        self._cpu = CpuShare()
        self._sleep = Sleep()

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
        responses = sum(link.connection.responses for link in self._links)
        return PoolState(
            connections=len(self._links),
            connecting=len(self._connecting),
            open_streams=sum(link.connection.open_streams for link in self._links),
            stream_limit=sum(link.connection.max_streams for link in self._links),
            waiting=self.waiting,
            responses=responses,
            answered=self._answered + responses,
            unsettled=sum(sending.left for sending in self._sendings),
            last_error=self._last_error,
        )

    @property
    def goaway_debug(self) -> bytes:
        """The GOAWAY debug data of the last connection that had any, empty if one that was answered ended without some
        since; APNs tells credential problems there, as JSON. A connection that came to nothing takes back no reason."""
        return self._goaway_debug

    def start(self, burst: Burst, *, is_urgent: bool = False) -> Sending:
        """Begin to send all requests of a burst; several bursts are written in the order they were started, but those
        that are urgent before all others.

        Raises:
            PoolClosed: the pool is closed; nothing was sent.
        """
        if self._closing:
            raise PoolClosed
        loop = asyncio.get_running_loop()
        sending = Sending(burst, self, loop, is_urgent=is_urgent)
        if not len(burst):
            sending._end.set_result(None)
            return sending
        before = sum(each.is_urgent for each in self._sendings) if is_urgent else len(self._sendings)
        self._sendings.insert(before, sending)
        if self._ticker is None:
            self._ticker = loop.create_task(self._tick_forever())
            self._ticker.add_done_callback(self._notice_defect)
        self._spread()
        self._grow()
        return sending

    async def send(self, burst: Burst) -> Results:
        """Send all requests of a burst and wait until each is settled.

        The results' fates say of each request whether it was answered, certainly not processed or ambiguous. If the
        caller is cancelled, what wasn't written yet is not sent any more.

        Raises:
            PoolClosed: the pool is closed; nothing was sent.
        """
        return await self.start(burst).done()

    async def aclose(self, drain: float | None = None) -> None:
        """Stop taking bursts, let those under way finish within `drain` seconds (default: as long as an answer may
        take), then close every connection. What is left unwritten by then is reported as not processed."""
        self._closing = True
        limit = self._options.timing.answer if drain is None else drain
        pending = [sending._end for sending in self._sendings]
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
        for sending in list(self._sendings):
            sending._settle_unwritten("the pool was closed")
        self._settle_finished()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        if links:
            await asyncio.wait(
                [link.closed for link in links]
            )  # unlike `gather` cancels none of them if it is cancelled

    def on_withdrawn(self) -> None:
        """A burst was withdrawn; it may be settled with that."""
        self._settle_finished()

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
        self._feed(link, link.room(self.waiting))
        self._settle_finished()

    def on_lost(self, link: Link) -> None:
        """A link is over. One that never answered anything counts as a failed connect, or a provider that accepts
        and hangs up would see us come back in a storm."""
        if link.connection.goaway_debug or link.connection.responses:
            self._goaway_debug = link.connection.goaway_debug
        if link in self._links:
            self._links.remove(link)
            self._answered += link.connection.responses
            self._last_error = link.error
            if link.lost_idle:
                self._replace_idle()
            elif link.connection.responses == 0 or link.connection.told_to_calm_down:
                self._failed()
        self._take_back(link)
        self._settle_finished()
        if not self._closed and self._sendings:
            self._spread()
            self._grow()

    # -- the flow of requests ---------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Divide the waiting requests among the links with room, the least loaded first."""
        waiting = self.waiting
        self._prove_idle(waiting)
        ready = [link for link in self._links if link.room(waiting)]
        ready.sort(key=lambda link: link.connection.open_streams)
        for position, link in enumerate(ready):
            if not waiting:
                return
            self._feed(link, -(-waiting // (len(ready) - position)))
            link.flush()
            waiting = self.waiting

    @property
    def waiting(self) -> int:
        """Requests that no connection has taken yet."""
        return sum(sending.unwritten for sending in self._sendings)

    def _feed(self, link: Link, most: int) -> None:
        """Give a link up to so many of the waiting requests, the urgent bursts first, then the oldest."""
        for sending in self._sendings:
            while sending._todo and most > 0:
                indices = sending._todo[0]
                taken = link.submit(sending, indices[:most])
                if not taken:
                    return
                self._moved = asyncio.get_running_loop().time()
                sending.unwritten -= taken
                most -= taken
                if taken == len(indices):
                    sending._todo.popleft()
                else:
                    sending._todo[0] = indices[taken:]

    def _take_back(self, link: Link) -> None:
        """Queue what a link certainly didn't send for another try, before everything else."""
        returned, link.connection.returned = link.connection.returned, []
        again: dict[Sending, list[int]] = {}
        for flight, index, reason in returned:
            assert isinstance(flight, Sending)
            tries = flight._resent.get(index, 0)
            if self._closed or flight._withdrawn or flight._end.done() or tries >= self._options.resends:
                flight.settle(index, Fate.NOT_PROCESSED, reason)
            else:
                flight._resent[index] = tries + 1
                again.setdefault(flight, []).append(index)
        for sending, indices in again.items():
            sending._todo.appendleft(indices)
            sending.unwritten += len(indices)

    def _settle_finished(self) -> None:
        finished = [sending for sending in self._sendings if not sending.left]
        for sending in finished:
            self._sendings.remove(sending)
            if not sending._end.done():
                sending._end.set_result(None)

    # -- connections ------------------------------------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            self._notice_sleep()
            self._prove_idle(self.waiting)
            for link in list(self._links):
                before = link.connection.open_streams
                link.tick(now)
                if link.connection.open_streams != before:
                    self.on_progress(link)
            for sending in self._sendings:
                if sending.unwritten and now - max(sending._since, self._moved) > self._options.patience:
                    sending._settle_unwritten(
                        self._last_error or f"nothing could be sent for {self._options.patience:g} s"
                    )
            self._settle_finished()
            self._cpu.look()
            self._grow()

    def _grow(self) -> None:
        """Open connections where they are wanted and allowed."""
        if self._closed or not any(sending.unwritten for sending in self._sendings):
            return
        now = asyncio.get_running_loop().time()
        if now < self._connect_after:
            return
        live = [link for link in self._links if link.connection.state is State.OPEN and not link.stuck]
        wanted = connections_to_open(
            ready=len(live),
            connecting=len(self._connecting) + sum(1 for link in live if link.asked or not link.connection.responses),
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
        link.answer_times = self._answer_times
        self._links.append(link)
        self._spread()

    # -- connections that were idle -----------------------------------------------------------------------------------

    def _prove_idle(self, waiting: int) -> None:
        """Give waiting requests to no link that was silent for long, before the peer has answered a PING there.

        No more links are asked than so many requests need: providers mind PINGs that no request follows.
        """
        if not waiting:
            return
        self._notice_sleep()
        now = asyncio.get_running_loop().time()
        unproven = [link for link in self._links if link.connection.state is State.OPEN and link.doubt(now)]
        if not unproven:
            return
        room = sum(
            link.connection.free_streams for link in self._links if not link.unproven or (link.asked and not link.stuck)
        )
        for link in sorted(unproven, key=lambda link: link.heard, reverse=True):
            if room >= waiting:
                return
            if not link.asked:
                link.prove()
                room += link.connection.free_streams

    def _replace_idle(self) -> None:
        """An idle link was found dead: give up those that were silent for as long, in place of asking one by one."""
        for link in list(self._links):
            if link.unproven and not link.stuck and link.connection.state is State.OPEN:
                link.abort("idle for long, as one was that turned out to be dead")

    def _notice_sleep(self) -> None:
        """What wasn't heard while the machine slept wasn't heard, though the loop's clock stood still."""
        slept = self._sleep.look()
        if slept:
            for link in self._links:
                link.heard -= slept

    # -- what went wrong ----------------------------------------------------------------------------------------------

    def _notice_defect(self, task: asyncio.Task[None]) -> None:
        """A task of ours that failed is a defect; whoever waits must see it, not a provider that seems slow."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        for sending in self._sendings:
            if not sending._end.done():
                sending._end.set_exception(error)

    def _failed(self) -> None:
        """A connection could not be made, or was of no use: wait longer each time, and ask for fewer."""
        now = asyncio.get_running_loop().time()
        self._failures += 1
        self._connect_after = now + backoff(self._failures, random.random())
        self._ceiling.lower(len(self._links), now)
