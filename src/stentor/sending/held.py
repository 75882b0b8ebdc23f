"""The batches that a lane's sender holds, each from when it was taken until its lease has ended.

Rules: a lease is kept up for as long as its batch is held; once it has ended all the same, nothing more of the batch is
sent, since another sender may have it or have had it; what has become of a batch that takes long is recorded
meanwhile, so that after a crash only the rest is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from stentor.clock import steady
from stentor.errors import StoreUnavailable
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Known, Ledger
from stentor.sending.delivery import Delivery
from stentor.sending.suspects import Suspects

LOOK_AGAIN = 0.25
"""Seconds after which a suspect looks again whether it is alone, should nobody have told it."""


class Held:
    """All that one lane's sender holds."""

    def __init__(self, queue: Queue, ledger: Ledger, lease: float, suspects: Suspects) -> None:
        """Args:
        lease: seconds for which a batch is taken, and taken again.
        """
        self._queue = queue
        self._ledger = ledger
        self._lease = lease
        self._suspects = suspects
        self._deliveries: dict[str, Delivery] = {}
        self._flying: set[str] = set()
        self._urgent: set[str] = set()  # of those that fly
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Held: {len(self)} batches, {self.flying} flying>"

    def __len__(self) -> int:
        return len(self._deliveries)

    def __iter__(self) -> Iterator[Delivery]:
        return iter(self._deliveries.values())

    @property
    def flying(self) -> int:
        """How many are on their way; the others wait to be recorded."""
        return len(self._flying)

    @property
    def flying_urgent(self) -> int:
        """How many of these are urgent."""
        return len(self._urgent)

    @property
    def urgent(self) -> int:
        """How many of all are urgent."""
        return sum(delivery.is_urgent for delivery in self)

    @property
    def has_suspect(self) -> bool:
        return any(delivery.suspect for delivery in self)

    # -- what comes and goes ----------------------------------------------------------------------------------------

    def take_in(self, leases: Sequence[Lease], known: Mapping[str, Known]) -> list[Delivery]:
        """Hold what was taken, of which this is known, by id. Returns: what is to be begun."""
        begun = []
        for lease in leases:
            if (delivery := self._deliveries.get(lease.id)) is not None:  # its lease had ended under us
                delivery.retake(lease)
                continue
            delivery = Delivery(lease, steady(), known.get(lease.id), suspect=lease in self._suspects)
            self._deliveries[lease.id] = delivery
            self._flying.add(lease.id)
            if lease.urgent:
                self._urgent.add(lease.id)
            begun.append(delivery)
        return begun

    async def its_turn(self, delivery: Delivery) -> None:
        """Have a suspect wait until nothing else is held."""
        while delivery.suspect and len(self) > 1:
            await self.wait_for_change(LOOK_AGAIN)

    def land(self, delivery: Delivery) -> None:
        """What becomes of it is known, and the wire has room for another."""
        self._flying.discard(delivery.lease.id)
        self._urgent.discard(delivery.lease.id)
        self._changed.set()

    def let_go(self, delivery: Delivery) -> None:
        """Its lease has ended, or is left to end."""
        self._suspects.acquit(delivery.lease)
        self._deliveries.pop(delivery.lease.id, None)
        self.land(delivery)

    def wake(self) -> None:
        """Have whoever waits for a change look again."""
        self._changed.set()

    async def wait_for_change(self, timeout: float) -> None:
        """Wait until one has landed or was let go, so many seconds at most."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    # -- what all of them need ----------------------------------------------------------------------------------------

    def lose_ended(self) -> None:
        """Call back what has lost its lease: this process stood still, or the queue couldn't be reached."""
        now = steady()
        for delivery in self:
            if delivery.lease.until <= now:
                delivery.lose()

    async def renew_leases(self) -> None:
        """Keep the leases that have less than half of their time left."""
        now = steady()
        late = {each.lease.token: each for each in self if 0 < each.lease.until - now < self._lease / 2}
        if not late:
            return
        try:
            kept = await self._queue.extend([delivery.lease for delivery in late.values()], self._lease)
        except StoreUnavailable:
            return
        renewed = {lease.token: lease for lease in kept}
        for token, delivery in late.items():
            if delivery.lease.token != token:
                continue  # it was taken again meanwhile
            if token in renewed:
                delivery.lease = renewed[token]
            else:
                delivery.lose()

    def listen(self, now: float) -> tuple[int, bool]:
        """How many requests wait for their answers, and whether any was answered since the last time."""
        listened = [each.listen(now) for each in self if each.lease.id in self._flying]
        return sum(under_way for under_way, _ in listened), any(heard for _, heard in listened)

    async def checkpoint(self, age: float, now: float, *, proven: bool) -> None:
        """Record who was accepted and who has failed of what has been under way for `age` seconds. See
        `Delivery.checkpoint` for the other arguments."""
        since = steady() - age
        await asyncio.gather(*(self._checkpoint(each, now, proven) for each in self if each.began <= since))

    async def _checkpoint(self, delivery: Delivery, now: float, proven: bool) -> None:
        async with delivery.telling:
            if (settlement := delivery.checkpoint(now, proven=proven)) is not None:
                await self._ledger.record(settlement)
