"""One sender's slice of its lane's budget, kept up to date, and the line of flights that send by it.

`Budget.run` looks at the board about once a second: it renews the slice, learns what the others need, and hears when
the provider asked one of them for quiet. `Budget.take` lets a flight send what the slice allows now. Rules: the first
in the line that can send sends alone, so that batches end in the order they began; a flight that waits for something
else meanwhile steps aside, so that it holds up nobody; urgent ones go before all others, and first tries before
repeated ones; nothing waits a push or
sleeps a recipient; time is checked before each slice of a batch, so that a process that was stopped for a while sends
nothing on an old slice.
"""

from __future__ import annotations

import asyncio
import math
import random
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.pace.board import Board
from stentor.pace.pacing import Member, TokenBucket, decode_sheet, encode_sheet

PERIOD = 0.95
"""Seconds between two looks at the board at most."""
HUNGRY = 0.25
"""The same while flights wait and others still hold what is ours."""
STEP = 0.025
"""Seconds' worth of pushes that are sent at a time at least; half of what a bucket saves up, so that a late timer loses
nothing."""
GRAIN = 0.001
"""Seconds by which a timer may be too early, so that a second wait would follow. Where a step is more than a push, the
bucket has room for what comes in that time."""
TRIES = 20
"""How often a look is begun anew because another sender wrote at the same time."""
CONFLICT = 0.05
"""Seconds before it is, at most."""
LEAVE_WITHIN = 1.0
"""Seconds in which a sender that stops gives its slice back; else it lapses."""
FIRST_TRIES = 1.0
"""Seconds after a first try had to wait for its turn for which more of them are believed to wait, in the queue, say."""
HEADROOM = 1.25
"""What a sender that doesn't use up its slice is thought to need, to what it used."""
USED_UP = 0.9
"""The part of a slice from which on it counts as used up."""

_KINDS = ((True, False), (True, True), (False, False), (False, True))
"""Of places in the line, in the order of their turns: whether they are urgent, and whether they repeat."""

Pause = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits for an event, or so many seconds, which may be infinite; the event may be set or not after that."""


async def pause(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, which is set after so many seconds: half the cost of a timeout, which is an exception."""
    timer = None if math.isinf(seconds) else asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        if timer is not None:
            timer.cancel()


class PlaceInLine:
    """A flight's place in the line."""

    __slots__ = ("aside", "changed", "group", "left", "repeats", "urgent")

    def __init__(self, group: str | None = None, *, repeats: bool = False, urgent: bool = False) -> None:
        """Args:
        group: flights of the same group keep their order, even if the first of them has stepped aside.
        repeats: whether everybody in it was sent before: all first tries go before that.
        urgent: whether it goes before all that isn't, repeated tries or first ones.
        """
        self.group = group
        self.repeats = repeats
        self.urgent = urgent
        self.changed = asyncio.Event()
        """Set when it should look again."""
        self.left = False
        self.aside = False
        """Whether it waits for something other than this budget, so that flights of other groups go first."""

    def leave(self) -> None:
        """It wants to send no more."""
        self.left = True
        self.changed.set()


class Budget:
    """What one sender may send of its lane's budget. `run` must be going, or `look` be called."""

    def __init__(
        self,
        board: Board,
        lane: str,
        rate: float | None,
        *,
        clock: Callable[[], float] = steady,
        pause: Pause = pause,
        name: str | None = None,
    ) -> None:
        """Args:
        rate: pushes a second that all senders of the lane may send in total; None: no limit, and only quiet is shared.
        clock: seconds that never go back. Different senders' need not agree.
        name: another one for each sender there ever is; drawn if left out.
        """
        self._board = board
        self._lane = lane
        self._rate = rate
        self._clock = clock
        self._pause = pause
        self._member = Member(name or secrets.token_hex(6), rate)
        self._bucket = TokenBucket(0.0, clock())
        self._line: deque[PlaceInLine] = deque()
        self._taken = 0
        self._waited_at = -math.inf  # when a first try had waited for its turn
        self._counted_at = clock()
        self._look_now = asyncio.Event()
        self._on_quiet: Callable[[float], None] = lambda _seconds: None
        self._has_work: Callable[[], Awaitable[bool]] | None = None

    def __repr__(self) -> str:
        return f"<Budget of {self._lane}: {self._member!r}>"

    @property
    def lane(self) -> str:
        """Whose it is: a lane's name, or what else senders know it by."""
        return self._lane

    @property
    def is_paced(self) -> bool:
        """Whether there is a limit at all."""
        return self._rate is not None

    @property
    def rate(self) -> float:
        """Pushes a second that this sender may send now; infinite where there is no limit."""
        return math.inf if self._rate is None else self._member.usable(self._clock())

    @property
    def has_first_tries(self) -> bool:
        """Whether all that may be sent is needed for those who were not tried yet, as far as is known here. Urgent ones
        don't count: they are few."""
        if self._rate is None:
            return False
        waits = any(not (place.repeats or place.urgent or place.aside) for place in self._line)
        return waits or self._clock() - self._waited_at < FIRST_TRIES

    @property
    def part(self) -> float:
        """What part of the lane is this sender's now, 0 to 1; all of it where there is no limit to divide."""
        return 1.0 if self._rate is None else min(1.0, self.rate / self._rate)

    def attach(self, on_quiet: Callable[[float], None], has_work: Callable[[], Awaitable[bool]]) -> None:
        """Whom it serves.

        Args:
            on_quiet: called when another sender was asked for quiet, with the seconds.
            has_work: whether there is anything to send; asked where this sender has no slice to find out with. May
                raise StoreUnavailable.
        """
        self._on_quiet = on_quiet
        self._has_work = has_work

    # -- the board ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._look_now.clear()
            with suppress(StoreUnavailable):
                await self.look()
            is_hungry = self._first() is not None and self._member.usable(self._clock()) < self._member.share
            seconds = HUNGRY if is_hungry else PERIOD
            await self._pause(self._look_now, random.uniform(0.85, 1.0) * seconds)

    def hint(self) -> None:
        """Look at once: somebody has heard that there is something new on the board."""
        self._look_now.set()

    async def look(self) -> None:
        """See what the others wrote, and renew the slice. Raises: StoreUnavailable."""
        demand = await self._demand()
        for _ in range(TRIES):
            began = self._clock()
            document, revision = await self._board.read(self._lane)
            now = self._clock()
            sheet = decode_sheet(document)
            if quiet := self._member.see(sheet, began, now):
                self._on_quiet(quiet)
            proposal = self._member.propose(sheet, demand, now)
            self._apply()
            if proposal is None:
                return
            began = self._clock()
            if await self._board.write(self._lane, encode_sheet(proposal), revision):
                self._member.renewed(proposal, began)
                self._apply()
                return
            await self._pause(asyncio.Event(), random.uniform(0.0, CONFLICT))

    def be_quiet(self, seconds: float) -> None:
        """The provider asked this sender for quiet: have all others hear of it at once."""
        if self._member.be_quiet(seconds, self._clock()):
            self._look_now.set()

    async def leave(self) -> None:
        """Give the slice back. What can't be told in time, lapses."""
        if self._rate is None:
            return
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                for _ in range(TRIES):
                    document, revision = await self._board.read(self._lane)
                    proposal = self._member.leave(decode_sheet(document))
                    self._apply()
                    if proposal is None or await self._board.write(self._lane, encode_sheet(proposal), revision):
                        return

    async def _demand(self) -> float:
        """Pushes a second that this sender could use."""
        if self._rate is None:
            return 0.0
        now = self._clock()
        passed, self._counted_at = now - self._counted_at, now
        taken, self._taken = self._taken, 0
        rate = taken / passed if passed > 0 else 0.0
        usable = self._member.usable(now)
        if self._first() is not None or (usable > 0 and rate >= USED_UP * usable):
            return self._rate
        if usable <= 0 and self._has_work is not None and await self._has_work():
            return self._rate
        return min(self._rate, rate * HEADROOM + len(self._line))

    def _apply(self) -> None:
        """What may be sent has changed."""
        now = self._clock()
        self._bucket.set_rate(self._member.usable(now), now)
        self._wake()

    # -- the line ------------------------------------------------------------------------------------------------

    @contextmanager
    def line(self, group: str | None = None, *, repeats: bool = False, urgent: bool = False) -> Iterator[PlaceInLine]:
        """A place in the line, behind all others of its kind. See `PlaceInLine` for the arguments."""
        place = PlaceInLine(group, repeats=repeats, urgent=urgent)
        self._line.append(place)
        try:
            yield place
        finally:
            self._line.remove(place)
            self._wake()

    @contextmanager
    def aside(self, place: PlaceInLine) -> Iterator[None]:
        """Let others go first while the flight at this place waits for something else."""
        place.aside = True
        self._wake()
        try:
            yield
        finally:
            place.aside = False
            self._wake()

    def _first(self) -> PlaceInLine | None:
        """Whose turn it is; None if nobody in the line could send now."""
        for urgent, repeats in _KINDS:
            waiting = set()
            for place in self._line:
                if place.repeats is not repeats or place.urgent is not urgent:
                    continue
                if place.aside:
                    waiting.add(place.group)
                elif place.group is None or place.group not in waiting:
                    return place
        return None

    def _wake(self) -> None:
        """Have the first look again."""
        if (first := self._first()) is not None:
            first.changed.set()

    # -- sending by it ------------------------------------------------------------------------------------------------

    async def take(self, place: PlaceInLine, most: int) -> int:
        """Wait until some of so many may be sent, and say how many: about 25 ms' worth, at least one; they count as
        sent. 0 where the place was left."""
        waited = False
        while not place.left:
            seconds = math.inf
            if self._first() is place:
                if count := self.draw(most):
                    if waited and not place.repeats and not place.urgent:
                        self._waited_at = self._clock()
                    return count
                step = STEP * self._bucket.rate
                seconds = self._bucket.wait(min(most, max(1.0, step)), self._clock())
                if step >= 1.0:
                    seconds += GRAIN
            place.changed.clear()
            await self._pause(place.changed, seconds)
            waited = True
        return 0

    def draw(self, most: int) -> int:
        """How many of so many may be sent now, for whoever doesn't wait; 0 where that isn't worth it yet."""
        now = self._clock()
        usable = self._member.usable(now)
        if usable != self._bucket.rate:
            self._bucket.set_rate(usable, now)
        if self._bucket.wait(min(most, max(1.0, STEP * usable)), now) > 0:
            return 0
        taken = self._bucket.take(most, now)
        self._taken += taken
        return taken

    @property
    def saved(self) -> float:
        """Pushes that are sent at once at most."""
        return self._bucket.burst
