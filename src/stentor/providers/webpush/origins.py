"""A pool for each push service that subscriptions name: bounded in number, closed when idle, rested when unreachable.

Rules: names are resolved and judged before the first connection, and again by each (`Endpoint.permits`), so that no
name leads into our own network, whatever it led to a moment before; one origin's trouble is told to its own recipients,
as a wait that is nobody's fault.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stentor.answer_times import AnswerTimes
from stentor.errors import ConnectFailed, HostForbidden, PoolClosed
from stentor.http2.burst import Fate, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint, permitted_addresses
from stentor.providers.contract import Answer
from stentor.providers.hosts import is_public
from stentor.providers.lane import HostState
from stentor.providers.webpush.endpoints import Origin
from stentor.providers.webpush.reasons import ours

MOST = 64
"""Origins with a pool at once. Browsers use half a dozen services, one of them under some twenty names."""
REMEMBERED = 1024
"""Origins of which trouble is remembered."""
IDLE = 60.0
"""Seconds after which a pool that has nothing to do is closed."""
LOOK_UP = 5.0
"""Seconds that the resolver has."""
LOOK_UPS = 16
"""New names that are resolved for a batch at most: resolving takes threads, and strangers can think of any name."""
FIRST_REST, LONGEST_REST = 5.0, 300.0
"""Seconds for which an origin that couldn't be reached is left alone: doubled with each time in a row."""


TRIED_WITHIN = 40.0
"""Seconds that an origin which has rested has to answer one batch's recipients; those of other batches wait meanwhile,
so that an origin which is silent holds up one batch, not all."""
LINGERS = 60.0
"""Seconds after its rest for which an origin that nobody asks still counts as one that recipients wait for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOf:
    """What all origins' pools have in common."""

    tls: ssl.SSLContext
    proxy: str | None
    options: PoolOptions
    trusted: bool
    """Whether origins may be anywhere; else only in the open internet."""
    answer_times: AnswerTimes | None = None
    """Where it is counted how long they take to answer."""

    def endpoint(self, origin: Origin) -> Endpoint:
        permits = None if self.trusted else is_public
        return Endpoint(host=origin.host, port=origin.port, tls=self.tls, proxy=self.proxy, permits=permits)


@dataclass(slots=True)
class _Open:
    pool: Pool
    used_at: float
    before: int
    """Requests that earlier pools of the origin were answered, as far as anybody remembers."""

    @property
    def answered(self) -> int:
        return self.before + self.pool.state.answered


@dataclass(slots=True)
class _Trouble:
    """What keeps an origin from being asked, and until when by the loop's clock."""

    answer: Answer
    until: float
    failures: int = 0
    unanswered: int = 0
    """Requests of the last batch that was tried."""
    answered: int = 0
    """Requests that it had answered when its pool was closed last."""
    turned_away: int = 0
    """Recipients that were told to wait since then."""


class Origins:
    """The pools of one set of credentials."""

    def __init__(self, where: PoolOf) -> None:
        self._where = where
        self._open: dict[Origin, _Open] = {}
        self._trouble: dict[Origin, _Trouble] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Origins {len(self._open)} open, {len(self._trouble)} in trouble>"

    def pools(self) -> list[Pool]:
        """Those that are open."""
        return [each.pool for each in self._open.values()]

    def hosts(self) -> list[HostState]:
        """Those for which recipients wait, whether they are asked just now or rest."""
        now = asyncio.get_running_loop().time()
        resting = {
            origin: trouble
            for origin, trouble in self._trouble.items()
            if trouble.failures and now < trouble.until + LINGERS
        }
        found = []
        for origin in self._open.keys() | resting.keys():
            asked, trouble = self._open.get(origin), resting.get(origin)
            state = None if asked is None else asked.pool.state
            waiting = 0 if state is None else state.unsettled
            if trouble is not None:
                waiting = max(trouble.unanswered, trouble.turned_away + waiting)
            if waiting:
                is_connected = state is not None and state.connections > 0
                why = (state and state.last_error) or (trouble and trouble.answer.detail) or "no connection"
                found.append(
                    HostState(
                        name=origin.authority,
                        waiting=waiting,
                        answered=self._answered(origin),
                        trouble="" if is_connected else why,
                    )
                )
        return found

    async def open(self, origins: Iterable[Origin]) -> dict[Origin, Pool | Answer]:
        """The pool of each origin, or why its recipients aren't sent to now.

        Raises: PoolClosed.
        """
        now = asyncio.get_running_loop().time()
        wanted = list(origins)
        new = [each for each in wanted if each not in self._open and self._ails(each, now) is None]
        late: list[Origin] = []
        if new and not self._where.trusted:
            late = new[LOOK_UPS:]
            await asyncio.gather(*map(self._look_up, new[:LOOK_UPS]))
        if self._closed:
            raise PoolClosed
        now = asyncio.get_running_loop().time()
        told: dict[Origin, Pool | Answer] = dict.fromkeys(late, ours("TooManyOrigins").answer(0))
        return told | {
            each: self._ails(each, now) or self._pool(each, wanted, now) for each in wanted if each not in told
        }

    def note(self, origin: Origin, results: Results) -> None:
        """What became of the requests to an origin: if none of them was answered, it rests."""
        if Fate.RESPONSE in results.fates:
            self._trouble.pop(origin, None)
        elif results.size:
            failures = self._trouble[origin].failures + 1 if origin in self._trouble else 1
            rest = min(LONGEST_REST, FIRST_REST * 2.0 ** min(failures - 1, 30))
            detail = next(iter(results.reasons.values()), "")
            resting = ours("OriginResting").answer(0, retry_after=rest, detail=detail)
            answered = self._answered(origin)
            self._remember(origin, resting, rest, failures)
            self._trouble[origin].unanswered, self._trouble[origin].answered = results.size, answered

    def turn_away(self, origin: Origin, recipients: int) -> None:
        """So many recipients were told to wait, as `open` said of their origin."""
        if (trouble := self._trouble.get(origin)) is not None:
            trouble.turned_away += recipients

    async def aclose(self, drain: float | None = None) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.gather(*(pool.aclose(drain) for pool in self.pools()), *self._closing)

    def _answered(self, origin: Origin) -> int:
        """Requests that it has answered, as far as that is remembered."""
        if (asked := self._open.get(origin)) is not None:
            return asked.answered
        return self._trouble[origin].answered if origin in self._trouble else 0

    # -- which may be asked -------------------------------------------------------------------------------------------

    def _ails(self, origin: Origin, now: float) -> Answer | None:
        trouble = self._trouble.get(origin)
        return None if trouble is None or now >= trouble.until else trouble.answer

    async def _look_up(self, origin: Origin) -> None:
        """See where a name leads before anything waits for a connection to it."""
        wait = ours("UnknownHost").wait or 0.0
        try:
            async with asyncio.timeout(LOOK_UP):
                await permitted_addresses(self._where.endpoint(origin))
        except HostForbidden:
            detail = "the endpoint's host leads to a private, loopback or reserved address"
            self._remember(origin, ours("ForbiddenEndpoint").answer(0, detail=detail), wait)
        except (OSError, UnicodeError, TimeoutError, ConnectFailed):
            self._remember(origin, ours("UnknownHost").answer(0, detail="its name cannot be resolved"), wait)

    def _remember(self, origin: Origin, answer: Answer, seconds: float, failures: int = 0) -> None:
        self._trouble.pop(origin, None)
        while len(self._trouble) >= REMEMBERED:
            del self._trouble[next(iter(self._trouble))]
        self._trouble[origin] = _Trouble(answer, asyncio.get_running_loop().time() + seconds, failures)

    # -- pools --------------------------------------------------------------------------------------------------------

    def _pool(self, origin: Origin, wanted: Collection[Origin], now: float) -> Pool | Answer:
        found = self._open.get(origin)
        if found is None:
            if len(self._open) >= MOST and not self._close_idlest(wanted):
                return ours("TooManyOrigins").answer(0)
            pool = Pool(self._where.endpoint(origin), self._where.options, self._where.answer_times)
            found = self._open[origin] = _Open(pool, now, self._answered(origin))
            if self._sweeper is None:
                self._sweeper = asyncio.get_running_loop().call_later(IDLE, self._sweep)
        found.used_at = now
        if (trouble := self._trouble.get(origin)) is not None and trouble.failures:
            trouble.until = now + TRIED_WITHIN
        return found.pool

    def _close_idlest(self, wanted: Collection[Origin]) -> bool:
        """Make room for another one; whether there was one with nothing to do, and none of those wanted now."""
        idle = [origin for origin, each in self._open.items() if _is_idle(each.pool) and origin not in wanted]
        if not idle:
            return False
        self._close(min(idle, key=lambda origin: self._open[origin].used_at))
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for origin, each in list(self._open.items()):
            if _is_idle(each.pool) and loop.time() - each.used_at >= IDLE:
                self._close(origin)
        self._sweeper = loop.call_later(IDLE, self._sweep) if self._open else None

    def _close(self, origin: Origin) -> None:
        if (trouble := self._trouble.get(origin)) is not None:
            trouble.answered = self._answered(origin)
        task = asyncio.get_running_loop().create_task(self._open.pop(origin).pool.aclose(), name=f"close {origin.host}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _is_idle(pool: Pool) -> bool:
    state = pool.state
    return not state.waiting and not state.open_streams
