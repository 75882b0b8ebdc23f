"""What the lanes over HTTP/2 share: bursts under way, and the pools that carry them.

`Http2Lane` has one endpoint, Web Push as many as its subscriptions name. Rules: what must not be used any more is
retired: it finishes in the background what it has, and takes nothing new.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar

from stentor.http2.burst import Fate
from stentor.http2.pool import Pool, PoolOptions, Sending
from stentor.providers.base import A, BaseLane
from stentor.providers.contract import WEB_PAGE, Answer, Decode, Doubts, Encoded, Rule, Taken, answers, no_doubts
from stentor.providers.lane import LaneState
from stentor.providers.rendering import R
from stentor.settings import App

FIRST_WINDOW = 1000
"""Recipients under way before the provider answered anything: wrong credentials should be found out with few."""
LEAST_WINDOW = 8000
"""Recipients that keep one quick connection busy, each batch's beginning and end included."""

_ANSWERED = bytes(int(fate == Fate.RESPONSE) for fate in range(256))


class BurstFlight:
    """A batch under way as bursts: what became of each request, by its recipient's index in the batch."""

    def __init__(
        self,
        size: int,
        parts: Sequence[tuple[Encoded, Sending]],
        rejected: Mapping[int, Answer],
        decode: Decode,
        accepting: Collection[int] = (),
        doubts: Doubts = no_doubts,
    ) -> None:
        """Args:
        accepting: the statuses other than 200 by which the provider accepts a message.
        doubts: which of the 200s are no acceptance before they are decoded.
        """
        self._size = size
        self._parts = parts
        self._rejected = rejected
        self._decode = decode
        self._accepting = accepting
        self._doubts = doubts
        self._withdrawn = False

    def __repr__(self) -> str:
        return f"<Flight of {self._size}: {', '.join(repr(sending) for _, sending in self._parts) or 'nothing sent'}>"

    def answers(self, now: float) -> dict[int, Answer]:
        found = dict(self._rejected)
        for encoded, sending in self._parts:
            found |= answers(encoded, sending.results, self._decode, now, self._doubts)
        return found

    def accepted(self) -> bytes:
        mask = bytearray(self._size)
        for encoded, sending in self._parts:
            answered = bytearray(sending.results.fates.translate(_ANSWERED))
            for index, reply in sending.results.replies.items():
                answered[index] = reply.status in self._accepting and not WEB_PAGE.match(reply.body)
            for index in self._doubts(sending.results):
                answered[index] = 0
            if isinstance(encoded.positions, range):
                mask[:] = answered
            else:
                for position, answer in zip(encoded.positions, answered, strict=True):
                    mask[position] = answer
        return bytes(mask)

    def receipts(self) -> Mapping[int, Taken]:
        return {}

    async def done(self) -> None:
        try:
            for _, sending in self._parts:
                await sending.done()
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise

    def withdraw(self, reason: str) -> None:
        self._withdrawn = True
        for _, sending in self._parts:
            sending.withdraw(reason)


class BurstLane(BaseLane[R, A]):
    """A lane over pools of HTTP/2 connections. Satisfies `lane.Lane`, but for `begin`."""

    patience: ClassVar[float]
    """Seconds in which nothing could be written at all, after which a flight is handed back: the caller has a
    breaker."""

    def __init__(
        self, app: App, name: str, table: Sequence[Rule], clock: Callable[[], float], options: PoolOptions | None
    ) -> None:
        super().__init__(app, name, table, clock, app.rate)
        self._options = options or PoolOptions(max_connections=app.max_connections, patience=self.patience)
        self._retired: list[Pool] = []

    @abstractmethod
    def load(self) -> A:
        """Read the credential files; blocks. Raises: CredentialError, InvalidConfiguration."""

    @property
    @abstractmethod
    def _pools(self) -> Sequence[Pool]:
        """Those for new flights."""

    def window(self) -> int:
        states = [pool.state for pool in self._pools]
        if not any(state.responses for state in states):
            return FIRST_WINDOW
        return max(LEAST_WINDOW, sum(state.stream_limit for state in states))

    def backlog(self) -> int:
        return sum(pool.waiting for pool in self._pools)

    @property
    def state(self) -> LaneState:
        current = [pool.state for pool in self._pools]
        states = [*current, *(pool.state for pool in self._retired)]
        return LaneState(
            connections=sum(state.connections for state in states),
            open_streams=sum(state.open_streams for state in states),
            last_error=next((state.last_error for state in current if state.last_error), None),
        )

    async def _open(self) -> A:
        return await asyncio.to_thread(self.load)

    async def _finish(self, drain: float | None) -> None:
        await asyncio.gather(*(pool.aclose(drain) for pool in (*self._retired, *self._pools)))

    def _retire(self, pool: Pool) -> None:
        """Let its connections finish what they have, and use them for nothing new."""
        self._retired.append(pool)
        self._later(self._end(pool))

    async def _end(self, pool: Pool) -> None:
        await pool.aclose()
        self._retired.remove(pool)
