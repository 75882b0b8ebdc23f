"""Who is about to be sent, on record before that.

Where nothing shows a second message in place of the first, in a chat, say, a sender that died must not have sent
anything of which nobody knows. Rules: nobody is sent before it is on record that they are about to be; the record goes
ahead of the sending, so that it costs no pace, and no further than a moment's worth, since whoever is on record when
the sender dies ends ambiguous, sent or not.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

AHEAD = 0.1
"""Seconds' worth of recipients that are on record and not sent yet."""

Note = Callable[[int, int], Awaitable[None]]
"""Returns when it is on record that the recipients from one index to before another are about to be sent.

Raises: LeaseLost, StoreUnavailable."""


class Intents:
    """Those of one flight."""

    def __init__(self, size: int, note: Note) -> None:
        self._size = size
        self._note = note
        self._noted = 0
        self._noting: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Intents: {self._noted} of {self._size}>"

    async def cover(self, upto: int, rate: float) -> None:
        """Returns when all before this index are on record; the next are written down meanwhile.

        Args:
            rate: recipients a second that are being sent, which may be infinite.

        Raises: LeaseLost, StoreUnavailable.
        """
        while self._noted < upto:
            if self._noting is None:
                self._begin(upto)
            assert self._noting is not None
            await self._noting
        ahead = self._size if math.isinf(rate) else min(self._size, upto + math.ceil(AHEAD * rate))
        if self._noted < ahead and self._noting is None:
            self._begin(ahead)

    async def aclose(self) -> None:
        """Write down no more."""
        if (noting := self._noting) is not None:
            noting.cancel()
            await asyncio.wait([noting])

    def _begin(self, upto: int) -> None:
        self._noting = asyncio.create_task(self._put_down(upto))
        self._noting.add_done_callback(_look_at)

    async def _put_down(self, upto: int) -> None:
        try:
            await self._note(self._noted, upto)
            self._noted = upto
        finally:
            self._noting = None


def _look_at(noting: asyncio.Task[None]) -> None:
    """What fails ahead of its time is tried again when that has come; asyncio is told that nobody missed it."""
    if not noting.cancelled():
        noting.exception()
