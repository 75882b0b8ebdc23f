"""Tells each target of what happened: takes deliveries from the outbox, tries them, and settles them.

Rules: a target has a task of its own, which tries one delivery at a time, the oldest first; so one that is slow or dead
holds up no other, and nothing of a campaign waits for any. A try is shorter than its lease, so that two processes never
try the same one at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from stentor.errors import StoreUnavailable
from stentor.reporting import outbox
from stentor.reporting.outbox import ClaimedReport, DeliveryStatus, TargetAnswer
from stentor.reporting.receiver import WITHIN, Receiver
from stentor.store.database import Database

LEASE = 120.0
"""Seconds after which a delivery is tried by another: longer than a try, and what is told late of one."""
INTERVAL = 1.0
"""Seconds between two looks for something to do."""
STOP_WITHIN = 5.0
"""Seconds for which a process that is stopped waits for the tries that are under way."""
assert WITHIN * 2 < LEASE

logger = logging.getLogger(__name__)


class Deliverer:
    """Of one store's outbox, in one process."""

    def __init__(
        self,
        database: Database,
        receivers: Mapping[str, Receiver],
        clock: Callable[[], float] = time.time,
        *,
        lease: float = LEASE,
    ) -> None:
        """Args:
        receivers: the targets, by name.
        clock: epoch seconds.
        lease: see LEASE.
        """
        self._database = database
        self._receivers = receivers
        self._clock = clock
        self._lease = lease
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._troubles: dict[str, str] = {}
        self._stopping = False

    @property
    def trouble(self) -> str | None:
        """Which target cannot be told just now, and why; None where all can."""
        return next((f"reports to {name} are late: {why}" for name, why in self._troubles.items()), None)

    async def look(self) -> None:
        """Begin with whatever is due. Raises: StoreUnavailable."""
        idle = [name for name in self._receivers if name not in self._tasks]
        if not idle or self._stopping:
            return
        now = self._clock()
        for name in await self._database.ask(lambda connection: outbox.due(connection, idle, now)):
            task = asyncio.create_task(self._empty(name), name=f"reports to {name}")
            self._tasks[name] = task
            task.add_done_callback(lambda _, name=name: self._tasks.pop(name))  # type: ignore[misc]

    async def finish(self, within: float) -> None:
        """Try what is due, for so many seconds at most; what is under way then is left, and tried again later."""
        try:
            async with asyncio.timeout(within):
                while True:
                    await self.look()
                    if not self._tasks:
                        return
                    await asyncio.wait(list(self._tasks.values()))
        except TimeoutError:
            return
        finally:
            await self.stop(0.0)

    async def stop(self, within: float = STOP_WITHIN) -> None:
        """Begin nothing more for now, and wait for what is under way, for so many seconds at most. What is left then is
        tried again when its lease ends, perhaps for the second time."""
        self._stopping = True
        tasks = list(self._tasks.values())
        if tasks and within:
            await asyncio.wait(tasks, timeout=within)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._stopping = False

    async def deliver(self, target: str, event_id: str) -> DeliveryStatus | None:
        """Try one delivery now. Returns: what became of it; None: it isn't due, or somebody else tries it."""
        claimed = await self._claim(target, event_id)
        return None if claimed is None else await self._try(claimed)

    async def _empty(self, target: str) -> None:
        try:
            while not self._stopping and (claimed := await self._claim(target)) is not None:
                await self._try(claimed)
        except StoreUnavailable as error:
            logger.warning("reports to %s wait for the store: %s", target, error)

    async def _claim(self, target: str, event_id: str | None = None) -> ClaimedReport | None:
        now = self._clock()
        return await self._database.write(
            lambda connection: outbox.claim(connection, target, now, self._lease, event_id=event_id)
        )

    async def _try(self, claimed: ClaimedReport) -> DeliveryStatus | None:
        answer = await self._receivers[claimed.target].tell(claimed.event, self._clock())
        now = self._clock()
        status = await self._database.write(lambda connection: outbox.settle(connection, claimed, answer, now))
        self._note(claimed, answer, status)
        return status

    def _note(self, claimed: ClaimedReport, answer: TargetAnswer, status: DeliveryStatus | None) -> None:
        name, event_id = claimed.target, claimed.event.id
        facts = {"target": name, "event": event_id, "tries": claimed.tries}
        said = answer.text or (f"it answered {answer.status}" if answer.status else "it gave no reason")
        match status:
            case DeliveryStatus.SENT:
                self._troubles.pop(name, None)
                logger.info("the report %s was sent to %s", event_id, name, extra=facts)
            case DeliveryStatus.FAILED:
                self._troubles.pop(name, None)
                logger.error("the report %s could not be sent to %s: %s", event_id, name, said, extra=facts)
            case DeliveryStatus.WAITING:
                self._troubles[name] = said
                wait = outbox.pause(claimed.tries, answer.retry_after)
                message = "the report %s could not be sent to %s: %s; it is tried again in %.0f s"
                logger.warning(message, event_id, name, said, wait, extra=facts)
