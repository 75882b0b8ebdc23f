"""A batch that is sent slice by slice, as the lane's budget and the campaign's throttle allow.

`PacedFlight` is a `lane.Flight` made of several: one for each slice. Rules: slices are sent one after the other, and
the answers to the ones before are looked at first, so that a call for quiet stops the rest of the batch; while what was
begun doesn't get to the wire nothing more is, or it would come out all at once; whoever waits for one thing (the wire,
the lane's budget, the campaign's throttle) leaves the others to those who can use them; what has landed is folded into
two columns, so that a batch sent one by one costs no more memory than another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain

from stentor.errors import StentorError
from stentor.outcome import Verdict
from stentor.pace.budget import Budget, PlaceInLine, pause
from stentor.pace.intents import Intents
from stentor.pace.throttles import Throttle
from stentor.providers.contract import Answer, Taken, not_processed
from stentor.providers.lane import Flight

REVIEW = 0.05
"""Seconds between two looks at the answers at least."""
WIRE = 0.02
"""Seconds between two looks whether the wire takes more."""
RECENT = 20
"""Recipients answered last, by whose answers it is judged whether the rest may be sent."""

Begin = Callable[[int, int], Awaitable[Flight]]
"""Begins to send to a batch's recipients from one index to before another; raises as `Lane.begin`."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What a paced flight asks its sender."""

    closed: Callable[[], bool]
    """Whether the lane may not send just now, whatever the budget."""
    forbids: Callable[[Mapping[int, Answer], int], bool]
    """Whether these answers, to so many recipients, forbid to send the rest now."""
    backlog: Callable[[], int]
    """See `Lane.backlog`."""
    clock: Callable[[], float]
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class _Part:
    start: int
    size: int
    flight: Flight


class PacedFlight:
    """A batch under way by a budget. Satisfies `lane.Flight`; it is `done` that sends."""

    def __init__(
        self,
        size: int,
        budget: Budget,
        begin: Begin,
        controls: Controls,
        throttle: Throttle | None = None,
        intents: Intents | None = None,
        *,
        repeats: bool = False,
        urgent: bool = False,
    ) -> None:
        """Args:
        budget: the lane's; it may be one without a limit.
        throttle: the campaign's, where it has one.
        intents: where it must be on record who is sent.
        repeats: whether everybody in it was sent before.
        urgent: whether it goes before those that aren't.
        """
        self._size = size
        self._budget = budget
        self._throttle = throttle
        self._intents = intents
        self._repeats = repeats
        self._urgent = urgent
        self._credit = 0  # what the throttle has allowed and the lane's budget hasn't yet
        self._begin = begin
        self._controls = controls
        self._begun = 0
        self._reviewed_at = 0.0
        self._parts: deque[_Part] = deque()  # not landed, or not known to have
        self._accepted = bytearray(size)  # of those that have
        self._answers: dict[int, Answer] = {}
        self._receipts: dict[int, Taken] = {}
        self._recent: deque[tuple[int, dict[int, Answer]]] = deque()
        self._refused: Flight | None = None
        self._last: Flight | None = None
        self._reason: str | None = None
        self._leave: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<PacedFlight of {self._size}: {self._begun} begun, {len(self._parts)} slices in the air>"

    @property
    def unsent(self) -> int:
        """Recipients whose turn is still to come."""
        return 0 if self._reason is not None else self._size - self._begun

    @property
    def stopped(self) -> bool:
        """Whether some weren't sent because the lane may not send just now, or because it was withdrawn."""
        return self._reason is not None

    @property
    def refused(self) -> Flight | None:
        """The slice whose short-lived credential was refused, or the last one; None where nothing was begun."""
        return self._refused or self._last

    def answers(self, now: float) -> dict[int, Answer]:
        found = dict(self._answers)
        for part in self._parts:
            found.update((part.start + index, answer) for index, answer in part.flight.answers(now).items())
        if self._reason is not None:
            found.update((index, not_processed(self._reason)) for index in range(self._begun, self._size))
        return found

    def accepted(self) -> bytes:
        mask = bytearray(self._accepted)
        for part in self._parts:
            mask[part.start : part.start + part.size] = part.flight.accepted()
        return bytes(mask)

    def receipts(self) -> Mapping[int, Taken]:
        found = dict(self._receipts)
        for part in self._parts:
            found.update((part.start + index, taken) for index, taken in part.flight.receipts().items())
        return found

    async def done(self) -> None:
        try:
            try:
                await self._send()
            except StentorError:
                self._stop("the lane could not send it")
                await self._land()  # those that were begun before
                raise
            await self._land()
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise

    def withdraw(self, reason: str) -> None:
        self._stop(reason)
        for part in self._parts:
            part.flight.withdraw(reason)

    def _stop(self, reason: str) -> None:
        if self._reason is None and self._begun < self._size:
            self._reason = reason
        self._leave()

    async def _send(self) -> None:
        if self._reason is not None:
            return
        async with AsyncExitStack() as lines:
            place, turn = lines.enter_context(self._budget.line(repeats=self._repeats, urgent=self._urgent)), None
            if self._intents is not None:
                lines.push_async_callback(self._intents.aclose)
            if self._throttle is not None:
                turn = lines.enter_context(self._throttle.line(self, self._budget.lane, repeats=self._repeats))
            self._leave = partial(_leave, place, turn)
            while self._begun < self._size and self._may_go_on(place):
                if self._is_stalled:
                    await self._wait_for_wire(place, turn)
                elif count := await self._turn(place, turn):
                    with self._leaving_throttle(turn):
                        await self._send_some(count)

    def _may_go_on(self, place: PlaceInLine) -> bool:
        """Whether neither the answers so far nor the lane forbid to send more, nor was it withdrawn."""
        if (now := asyncio.get_running_loop().time()) - self._reviewed_at >= REVIEW:
            self._reviewed_at = now
            self._review()
        if self._controls.closed():
            self._stop("the lane is closed for now")
        return not place.left

    @property
    def _is_stalled(self) -> bool:
        """Whether the wire has not taken what was begun."""
        return self._controls.backlog() > self._budget.saved

    async def _wait_for_wire(self, place: PlaceInLine, turn: PlaceInLine | None) -> None:
        with self._budget.aside(place), self._leaving_throttle(turn):
            while self._is_stalled and self._may_go_on(place):
                place.changed.clear()
                await pause(place.changed, WIRE)

    async def _turn(self, place: PlaceInLine, turn: PlaceInLine | None) -> int:
        """How many may be sent now, when any may; 0 where the place was left."""
        left = self._size - self._begun
        if turn is not None and self._throttle is not None:
            if not self._credit:
                with self._budget.aside(place):
                    self._credit = await self._throttle.budget.take(turn, left)
            left = min(left, self._credit)
            if not left:
                return 0
        count = left
        if self._budget.is_paced:
            with self._leaving_throttle(turn):
                count = await self._budget.take(place, left)
        self._credit -= count
        return count

    def _leaving_throttle(self, turn: PlaceInLine | None) -> AbstractContextManager[None]:
        """Leave the campaign's throttle to other lanes for as long as this context lasts."""
        if turn is None or self._throttle is None:
            return nullcontext()
        return self._throttle.budget.aside(turn)

    async def _send_some(self, count: int) -> None:
        if self._intents is not None:
            await self._intents.cover(self._begun + count, self._rate)
        if self._controls.closed() or self.stopped:
            return  # while it waited; the tokens are lost, which costs little
        flight = await self._begin(self._begun, self._begun + count)
        self._parts.append(_Part(self._begun, count, flight))
        self._begun += count
        self._last = flight
        if self._reason is not None:  # while it was begun
            flight.withdraw(self._reason)

    @property
    def _rate(self) -> float:
        """Recipients a second that it sends at most just now."""
        return self._budget.rate if self._throttle is None else min(self._budget.rate, self._throttle.budget.rate)

    async def _land(self) -> None:
        for part in list(self._parts):
            await part.flight.done()
        self._fold(self._controls.clock())

    def _review(self) -> None:
        """Fold what has landed, and see whether the answers forbid the rest."""
        flying = self._fold(self._controls.clock())
        answers = list(chain((found for _, found in self._recent), (found for _, found in flying)))
        if not any(answers):
            return
        numbered = dict(enumerate(chain.from_iterable(found.values() for found in answers)))
        answered = sum(count for count, _ in chain(self._recent, flying))
        if self._controls.forbids(numbered, answered):
            self._stop("the answers before forbade it")

    def _fold(self, now: float) -> list[tuple[int, dict[int, Answer]]]:
        """Fold what has landed. Returns: of each slice that hasn't, how many are answered, and who wasn't accepted."""
        flying = []
        still: deque[_Part] = deque()
        for part in self._parts:
            accepted = part.flight.accepted()
            taken = accepted.count(1)
            answers = part.flight.answers(now) if taken < part.size else {}
            if any(answer.verdict is Verdict.REFRESH for answer in answers.values()):
                self._refused = self._refused or part.flight
            if taken + len(answers) < part.size:
                flying.append((taken + len(answers), answers))
                still.append(part)
                continue
            self._accepted[part.start : part.start + part.size] = accepted
            self._answers.update((part.start + index, answer) for index, answer in answers.items())
            self._receipts.update((part.start + index, taken) for index, taken in part.flight.receipts().items())
            self._recent.append((part.size, answers))
        self._parts = still
        known = sum(count for count, _ in self._recent)
        while self._recent and known - self._recent[0][0] >= RECENT:
            known -= self._recent.popleft()[0]
        return flying


def _leave(place: PlaceInLine, turn: PlaceInLine | None) -> None:
    place.leave()
    if turn is not None:
        turn.leave()
