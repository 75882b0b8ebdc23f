"""Answers that wait for their time: one heap and one timer for all connections of a simulator."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import Protocol

from stentor.simulators.world import Judgement

_GRAIN_S = 0.001  # answers due within so much of each other go out together


class Recipient(Protocol):
    def send_delayed(self, stream_id: int, answer: Judgement, number: int) -> bool: ...

    def flush(self) -> None: ...


class Delays:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Recipient, int, Judgement, int]] = []
        self._sequence = 0
        self._timer: asyncio.Handle | None = None
        self._due = 0.0  # of the answer that the timer is for; uvloop's handles don't always know their time
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"<Delays {len(self._heap)} waiting>"

    def add(self, seconds: float, recipient: Recipient, stream_id: int, answer: Judgement, number: int) -> None:
        due = self._loop.time() + seconds
        self._sequence += 1
        heappush(self._heap, (due, self._sequence, recipient, stream_id, answer, number))
        if self._timer is None or due < self._due:
            self._arm()

    def close(self) -> None:
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._heap[0][0]
        self._timer = self._loop.call_at(self._due + _GRAIN_S, self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._loop.time()
        touched: list[Recipient] = []
        while self._heap and self._heap[0][0] <= now:
            _, _, recipient, stream_id, answer, number = heappop(self._heap)
            if recipient.send_delayed(stream_id, answer, number):
                touched.append(recipient)
        for recipient in touched:
            recipient.flush()
        if self._heap:
            self._arm()
