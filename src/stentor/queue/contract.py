"""What every queue promises. The suite `stentor.testing.queue.QueueContract` holds each backend to it.

Delivery is at least once: a task that was taken comes back when its lease ends, and everything done with it must be
idempotent by its id. Rules: a task is gone only when it was acked or buried; whoever takes a task acks, releases or
buries it, or dies; only its holder can end or extend a lease. Who that is the queue knows by the lease's token, which
is another one each time that a task is taken, and by no clock: a lease may have been lost before its time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.store.letters import DeadLetter

PLAN = "plan"
"""The lane of plan steps; all others are `channel/app`."""

Change = Callable[[AsyncConnection], Awaitable[None]]
"""What the store must write together with a step of the queue. Runs in a transaction; may be run again after a
conflict, so it must have no other effects. What it raises undoes all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is put into a queue."""

    id: str
    lane: str
    campaign_id: str
    payload: bytes
    edition: str = ""
    """Tells tasks of one id apart whose payloads differ, where a queue cannot put them in the store's transaction: a
    put that was not followed by its change may have left another behind. Letters and digits."""
    again: bool = False
    """Whether it was put before and lost, so that somebody may have held it."""
    urgent: bool = False
    """Whether it is taken before all tasks of its lane that aren't."""

    def __repr__(self) -> str:
        return f"<Task {self.id} on {self.lane}, {len(self.payload)} bytes>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A task that was taken, and by what right."""

    id: str
    lane: str
    campaign_id: str
    payload: bytes
    deliveries: int
    """How often it was taken since it was put or last released, this time included. More than a few mean that whoever
    takes it dies of it."""
    token: str
    """Proves who holds it: a fence, which only the one who took it last gets through."""
    until: float
    """When it ends at the latest, by `clock.steady`, for whoever took it: from then on another may hold it."""
    edition: str = ""
    """The task's, where the queue keeps it."""
    again: bool = False
    """The task's, where the queue keeps it."""
    urgent: bool = False
    """The task's, for as long as it is there, however often it is given back."""
    notes: tuple[bytes, ...] = ()
    """What earlier holders left for the next one, where the queue keeps such notes; all of it counts."""

    def __repr__(self) -> str:
        return f"<Lease of {self.id}, delivery {self.deliveries}>"

    @property
    def facts(self) -> dict[str, str]:
        """What it is about, as the fields of a log record: `campaign`, `lane`, and `batch` or `step`."""
        return {"campaign": self.campaign_id, "lane": self.lane, "step" if self.lane == PLAN else "batch": self.id}

    @property
    def inherited(self) -> bool:
        """Whether somebody may have held it who neither ended it nor gave it back."""
        return self.deliveries > 1 or self.again


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How many tasks a lane has."""

    ready: int = 0
    delayed: int = 0
    leased: int = 0

    @property
    def total(self) -> int:
        return self.ready + self.delayed + self.leased


class Outbox(Protocol):
    """A durable stream of messages about tasks, from those who do them to those who write down what came of it.

    Delivery is at least once, and in any order. Every method raises `StoreUnavailable` where it cannot be reached.
    """

    async def send(self, about: Lease, messages: Sequence[bytes]) -> None:
        """Returns when they are durable."""

    async def take(self, limit: int, lease: float) -> list[Lease]:
        """Up to `limit` messages, each held for `lease` seconds; their ids and lanes are those of the tasks."""

    async def extend(self, leases: Sequence[Lease]) -> None:
        """Hold these for a lease from now."""

    async def ack(self, leases: Sequence[Lease]) -> None:
        """Done with."""

    async def put_back(self, leases: Sequence[Lease]) -> None:
        """Give these back, to be taken at once as if they had not been taken: it counts as no delivery."""

    async def bury(self, lease: Lease, reason: str) -> None:
        """Put a message that nobody can read among the dead letters."""

    async def about(self, task: Lease) -> list[bytes]:
        """What was sent about a task and isn't acked, the oldest first."""

    async def tasks(self, campaign_id: str) -> AbstractSet[str]:
        """The ids of a campaign's tasks about which something was sent that isn't acked."""

    async def waiting(self) -> int:
        """How many messages aren't acked."""


class Queue(Protocol):
    """A durable queue with lanes. Times are seconds.

    Every method raises `StoreUnavailable` where the queue cannot be reached; nothing has happened then, or all of it.
    """

    async def take(self, lane: str, limit: int, lease: float, *, urgent: bool = False) -> list[Lease]:
        """Up to `limit` tasks that are ready, the urgent ones first, and of these and of the others those that were
        ready first first, each held for `lease` seconds.

        Args:
            urgent: only those that are; to be asked for when `await_urgent` said that there may be some.
        """

    async def await_urgent(self, lanes: Sequence[str]) -> Sequence[str]:
        """Those of these lanes that may have an urgent task that is ready, soon after it was put. It returns when there
        may be any."""

    async def withdraw(self, campaign_id: str, limit: int, lease: float) -> list[Lease]:
        """Up to `limit` tasks of a campaign that nobody holds, on whatever lane, ready or not, each held for `lease`
        seconds: to end what was called off."""

    async def settle(
        self,
        change: Change | None = None,
        *,
        put: Iterable[Task] = (),
        ack: Iterable[Lease] = (),
        release: Iterable[tuple[Lease, float]] = (),
        put_back: Iterable[tuple[Lease, float]] = (),
        bury: Iterable[tuple[Lease, str]] = (),
    ) -> None:
        """Put tasks, change the store, and end leases, in that order; on a queue that shares the store's database all
        of it is one transaction. A lease that was lost is left alone.

        Args:
            change: what is written to the store. If it raises, no lease ends, and the exception goes to the caller.
            put: idempotent: a task whose id is queued already is left as it is.
            ack: done with.
            release: given back, to be taken again after so many seconds; their deliveries are counted from 0 again.
            put_back: the same where somebody before may have begun something of which nobody told: of their earlier
                deliveries one is still counted, so that they are known to be inherited (`Lease.inherited`).
            bury: moved to the dead letters with a reason.
        """

    async def extend(self, leases: Sequence[Lease], lease: float) -> list[Lease]:
        """Hold these for `lease` seconds from now. Returns: those that are held, each with its new end; a lease that
        was lost is left alone."""

    async def depths(self, lanes: Iterable[str]) -> Mapping[str, Depth]:
        """How many tasks each of these lanes has."""

    async def queued(self, campaign_id: str) -> AbstractSet[str]:
        """The ids of a campaign's batches that are queued, held or not; plan steps aren't among them."""

    async def dead_letters(self, campaign_id: str | None = None) -> list[DeadLetter]:
        """What was buried, the latest first."""


class FencingQueue(Queue, Protocol):
    """A queue on the store's database."""

    async def held(self, connection: AsyncConnection, leases: Sequence[Lease]) -> AbstractSet[str]:
        """The tokens of those leases that are held, by nobody else before the transaction of this connection ends."""

    async def end(self, connection: AsyncConnection, tasks: Sequence[str]) -> None:
        """End these, by id, whoever holds them: there is nothing left to be done."""


class NotingQueue(Queue, Protocol):
    """A queue whose tasks carry notes from one holder to the next (`Lease.note`), as it shares no transaction with the
    store."""

    async def release(self, lease: Lease, delay: float, left: bytes) -> None:
        """Give a task back, to be taken again after `delay` seconds, with a note. A lost lease is left alone."""

    async def remember(self, lease: Lease, left: bytes) -> None:
        """Leave a note of a task that is held, in case its holder dies: whoever takes it next finds it.

        Raises:
            LeaseLost: another may have taken it, and the note wasn't left.
            QueueUnavailable: it may have been left.
        """
