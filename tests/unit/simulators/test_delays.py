"""Delayed answers go out in the order of their times, whichever loop it is and however late it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from stentor.simulators.delays import Delays
from stentor.simulators.world import Judgement

ANSWER = Judgement([(b":status", b"200")], b"", "")


class Recipient:
    def __init__(self, awaited: int) -> None:
        self.sent: list[int] = []
        self.all_sent = asyncio.Event()
        self._awaited = awaited

    def send_delayed(self, stream_id: int, answer: Judgement, number: int) -> bool:
        self.sent.append(stream_id)
        return True

    def flush(self) -> None:
        if len(self.sent) == self._awaited:
            self.all_sent.set()


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_sooner_first_even_when_overdue(make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def send() -> list[int]:
        delays, recipient = Delays(), Recipient(4)
        for stream_id, seconds in ((7, 0.02), (5, 0.01), (3, -1.0), (1, -2.0)):
            delays.add(seconds, recipient, stream_id, ANSWER, 0)
        await recipient.all_sent.wait()
        delays.close()
        return recipient.sent

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(send()) == [1, 3, 5, 7]
