"""The batches that a lane's sender holds, each from when it was taken until its lease has ended.

Rules: a lease is kept up for as long as its batch is held; once it has ended all the same, nothing more of the batch is
sent, since another sender may have it or have had it, and a renewal that came too late doesn't count; what was accepted
of a batch that takes long is recorded meanwhile, so that after a crash only the rest is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from stentor.batch import Batch
from stentor.errors import StoreUnavailable
from stentor.outcome import Outcome
from stentor.providers.lane import Flight
from stentor.queue.contract import Lease, Queue
from stentor.recording.contract import Ledger, Settlement, Waiting
from stentor.sending.gatekeeper import Trouble
from stentor.sending.settling import intents, receipts_of
from stentor.sending.suspects import Suspects

LOOK_AGAIN = 0.25
"""Seconds after which a suspect looks again whether it is alone, should nobody have told it."""


@dataclass(slots=True, eq=False)
class Delivery:
    """A batch that this process holds. Times are those of the monotonic clock."""

    lease: Lease
    began: float
    held_until: float
    """When the lease ends."""
    suspect: bool = False
    """Whether it may have killed its sender: it is sent when nothing else is held, and nothing is taken meanwhile."""
    batch: Batch | None = None
    beginning: asyncio.Timeout | None = None
    """Cuts short what comes before the flight; None before and after that."""
    flight: Flight | None = None
    positions: Sequence[int] = ()
    """In the batch, of those that the flight sends."""
    tried: Mapping[int, Waiting] = field(default_factory=dict)
    """By position, what is known of earlier tries."""
    collapses: bool = False
    """See `Prepared.collapses`."""
    repeats: Callable[[bytes], bool] = lambda _address: True
    """Whether an address shows a message twice that was sent twice."""
    intents: list[Waiting] = field(default_factory=list)
    """Who is on record as about to be sent."""
    withdrawn: bool = False
    lost: bool = False
    """Whether its lease has ended: others may have sent it since, of which nothing is known here."""
    trouble: Trouble | None = None
    """Why it could not be begun, or not to its end."""
    checkpointed: int = 0
    """How many of the flight's recipients the last checkpoint had as accepted."""

    def withdraw(self, why: str) -> None:
        """Send no more of it, if it flies."""
        if self.flight is not None and not self.withdrawn:
            self.withdrawn = True
            self.flight.withdraw(why)

    def break_off(self, why: str) -> None:
        """Send no more of it, and wait for nothing that it needs before it flies, for a credential, say."""
        self.withdraw(why)
        if self.beginning is not None:
            self.beginning.reschedule(0.0)
            self.beginning = None

    def lose(self) -> None:
        """Its lease has ended."""
        self.lost = True
        self.break_off("its lease has ended")

    def checkpoint(self) -> Settlement | None:
        """Who was accepted so far, if that is more than the last time."""
        known = self.checkpointed
        settlement = self._so_far()
        return settlement if self.checkpointed > known else None

    def intend(self, start: int, stop: int, now: float) -> Settlement | None:
        """That the flight's recipients from one index to before another are about to be sent, and who was accepted so
        far; None where a second message would do no harm."""
        if self.batch is None:
            return None
        addresses = self.batch.addresses
        begun = intents([at for at in self.positions[start:stop] if self.repeats(addresses[at])], self.tried, now)
        settlement = self._so_far() if begun else None
        return settlement and replace(settlement, waiting=tuple(begun))

    def _so_far(self) -> Settlement | None:
        if self.flight is None or self.batch is None:
            return None
        accepted = self.flight.accepted()
        self.checkpointed = accepted.count(1)
        outcomes = bytearray(len(self.batch))
        for position, mark in zip(self.positions, accepted, strict=True):
            outcomes[position] = Outcome.ACCEPTED if mark else Outcome.PENDING
        receipts = receipts_of(self.flight, self.positions)
        return Settlement(lease=self.lease, batch=self.batch, outcomes=bytes(outcomes), receipts=receipts)


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
    def has_suspect(self) -> bool:
        return any(delivery.suspect for delivery in self)

    # -- what comes and goes ----------------------------------------------------------------------------------------

    def take_in(self, leases: Sequence[Lease], held_until: float) -> list[Delivery]:
        """Hold what was taken until then. Returns: what is to be begun."""
        begun = []
        for lease in leases:
            if (delivery := self._deliveries.get(lease.id)) is not None:
                # Its lease had ended under us, and others may have had it since. What is under way here is called back,
                # and the new lease is that by which it is settled, and given back if need be.
                delivery.lose()
                delivery.lease, delivery.held_until = lease, held_until
                continue
            delivery = Delivery(lease, time.monotonic(), held_until, suspect=lease in self._suspects)
            self._deliveries[lease.id] = delivery
            self._flying.add(lease.id)
            begun.append(delivery)
        return begun

    async def its_turn(self, delivery: Delivery) -> None:
        """Have a suspect wait until nothing else is held."""
        while delivery.suspect and len(self) > 1:
            await self.wait_for_change(LOOK_AGAIN)

    def land(self, delivery: Delivery) -> None:
        """What becomes of it is known, and the wire has room for another."""
        self._flying.discard(delivery.lease.id)
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
        now = time.monotonic()
        for delivery in self:
            if delivery.held_until <= now:
                delivery.lose()

    async def renew_leases(self) -> None:
        """Keep the leases that have less than half of their time left."""
        now = time.monotonic()
        late = [delivery for delivery in self if 0 < delivery.held_until - now < self._lease / 2]
        if not late:
            return
        try:
            await self._queue.extend([delivery.lease for delivery in late], self._lease)
        except StoreUnavailable:
            return
        renewed_at = time.monotonic()
        for delivery in late:
            if renewed_at < delivery.held_until:  # else it may have ended before that, and be another's by now
                delivery.held_until = now + self._lease

    async def checkpoint(self, age: float) -> None:
        """Record who was accepted of what has been under way for so many seconds."""
        now = time.monotonic()
        news = [found for each in self if now - each.began >= age and (found := each.checkpoint())]
        await asyncio.gather(*(self._ledger.record(settlement) for settlement in news))
