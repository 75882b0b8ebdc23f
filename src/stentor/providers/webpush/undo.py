"""An undo of pushes to browsers: what a push service still holds is deleted there, and nobody sees anything of it; for
everybody else a message goes out that takes the first one's place.

Rules: whether a message was delivered its push service knows alone, so whoever's cannot be deleted is sent the other
one at once, within the same flight; what was withdrawn before that is deleted again the next time, and again too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stentor.providers.contract import Answer, Taken, not_processed
from stentor.providers.lane import Flight
from stentor.providers.webpush.wire import TOO_LATE


@dataclass(frozen=True, slots=True)
class Part:
    """A flight to some of a batch's recipients."""

    positions: Sequence[int]
    flight: Flight


Replace = Callable[[Sequence[int]], Awaitable[Flight]]
"""Begins to send the other message to those at some positions; raises as `Lane.begin`."""


class UndoFlight:
    """A batch under way. Satisfies `lane.Flight`."""

    def __init__(self, size: int, deleted: Part, replaced: Part | None, replace: Replace) -> None:
        """Args:
        deleted: whose messages may still be at their push services.
        replaced: the others.
        """
        self._size = size
        self._deleted = deleted
        self._replaced = [] if replaced is None else [replaced]
        self._replace = replace
        self._left: dict[int, Answer] = {}
        self._reason = ""

    def __repr__(self) -> str:
        return f"<UndoFlight of {self._size}: {[part.flight for part in self._parts]}>"

    @property
    def _parts(self) -> Iterator[Part]:
        yield self._deleted
        yield from self._replaced

    def answers(self, now: float) -> dict[int, Answer]:
        late = set(self._late())
        found = {
            part.positions[index]: answer
            for part in self._parts
            for index, answer in part.flight.answers(now).items()
            if part is not self._deleted or part.positions[index] not in late
        }
        return found | self._left

    def accepted(self) -> bytes:
        mask = bytearray(self._size)
        for part in self._parts:
            for position, accepted in zip(part.positions, part.flight.accepted(), strict=True):
                mask[position] |= accepted
        return bytes(mask)

    def receipts(self) -> Mapping[int, Taken]:
        return {
            part.positions[index]: taken for part in self._replaced for index, taken in part.flight.receipts().items()
        }

    async def done(self) -> None:
        try:
            await self._deleted.flight.done()
            await self._replace_late()
            for part in self._replaced:
                await part.flight.done()
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise

    def withdraw(self, reason: str) -> None:
        self._reason = self._reason or reason
        for part in self._parts:
            part.flight.withdraw(reason)

    def _withdrawn(self) -> str:
        """Why; empty where it isn't."""
        return self._reason

    async def _replace_late(self) -> None:
        if not (late := self._late()):
            return
        if why := self._withdrawn():
            self._left = dict.fromkeys(late, not_processed(why))
            return
        try:
            part = Part(late, await self._replace(late))
        except BaseException:
            self._left = dict.fromkeys(late, not_processed("the message that takes its place could not be sent"))
            raise
        self._replaced.append(part)
        if why := self._withdrawn():  # while it was begun
            part.flight.withdraw(why)

    def _late(self) -> list[int]:
        """Whose message cannot be deleted."""
        answers = self._deleted.flight.answers(0.0)
        return [self._deleted.positions[index] for index, answer in answers.items() if answer.reason == TOO_LATE]
