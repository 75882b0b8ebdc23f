"""One configuration's queue, and what goes with it: who keeps the books, and how news gets around.

`ports.py` opens the one that the settings ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stentor.pace.board import Board
from stentor.queue.contract import Outbox, Queue
from stentor.recording.recorder import Recorder
from stentor.recording.relay import Relay
from stentor.runtime.bell import Bell


class QueueLink(Protocol):
    """A connection to a queue's servers."""

    @property
    def problem(self) -> str | None:
        """Why they cannot be reached just now; None while they can."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One configuration's queue."""

    queue: Queue
    ledger: Recorder | Relay
    """The senders'."""
    outbox: Outbox | None
    """Where recorder processes find their work; None where there are none."""
    board: Board
    bell: Bell
    link: QueueLink | None
    """To a queue that isn't in the store."""

    async def ready(self) -> None:
        """See that it can be used.

        Raises: QueueUnavailable, InvalidConfiguration.
        """
        if self.link is not None:
            await self.queue.depths(())

    @property
    def problem(self) -> str | None:
        """Why the queue cannot be reached just now, where that isn't the store; None while it can."""
        return None if self.link is None else self.link.problem

    async def aclose(self) -> None:
        if self.link is not None:
            await self.link.aclose()
