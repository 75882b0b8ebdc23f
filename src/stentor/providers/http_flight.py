"""A batch that is sent one request a recipient, by however many carriers; see `http_lane.py`.

Rules: a recipient is taken by one carrier, and settled once; what was withdrawn before it was taken is not processed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Generic

from stentor.providers.contract import Answer, Taken, not_processed
from stentor.providers.rendering import PreparedContent, R


class HttpFlight(Generic[R]):
    """A batch under way. Satisfies `lane.Flight`."""

    def __init__(
        self,
        prepared: PreparedContent[R],
        recipients: Sequence[bytes],
        addresses: Sequence[bytes],
        rendered: Callable[[int], R | Answer],
    ) -> None:
        self.prepared = prepared
        self.recipients = recipients
        self.addresses = addresses
        self.rendered = rendered
        self._next = 0
        self._open = len(recipients)
        self._answers: dict[int, Answer] = {}
        self._accepted = bytearray(len(recipients))
        self._receipts: dict[int, Taken] = {}
        self._ended = asyncio.Event()
        self._error: BaseException | None = None
        if not recipients:
            self._ended.set()

    def __repr__(self) -> str:
        return f"<HttpFlight of {len(self.recipients)}, {self._open} open>"

    @property
    def unsent(self) -> int:
        """Recipients that no carrier has taken yet."""
        return len(self.recipients) - self._next

    def take(self) -> int:
        """The next recipient's index, for whoever sends to it. There must be one."""
        self._next += 1
        return self._next - 1

    def settle(self, index: int, found: Taken | Answer) -> None:
        if isinstance(found, Taken):
            self._accepted[index] = 1
            if found.id or found.moved_to:
                self._receipts[index] = found
        else:
            self._answers[index] = found
        self._open -= 1
        if not self._open:
            self._ended.set()

    def fail(self, error: BaseException) -> None:
        """Have whoever waits for its end get this; nobody else of it is sent to."""
        self._error = self._error or error
        self._ended.set()
        self.withdraw("its lane has failed")

    def answers(self, now: float) -> dict[int, Answer]:
        return dict(self._answers)

    def accepted(self) -> bytes:
        return bytes(self._accepted)

    def receipts(self) -> Mapping[int, Taken]:
        return self._receipts

    async def done(self) -> None:
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            self.withdraw("whoever sent it waits no longer")
            raise
        if self._error is not None:
            raise self._error

    def withdraw(self, reason: str) -> None:
        while self.unsent:
            self.settle(self.take(), not_processed(reason))
