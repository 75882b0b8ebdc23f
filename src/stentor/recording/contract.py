"""What a sender tells the recorder about a batch, and what must be known to go on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import msgspec

from stentor.outcome import Outcome
from stentor.queue.contract import Lease


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A recipient that is to be tried again."""

    position: int
    """Its index in the batch."""
    tries: int
    """How often it was sent so far."""
    not_before: float
    """Epoch seconds."""
    reason: str
    """Why it wasn't accepted the last time."""
    ambiguous: bool = False
    """Whether one of the tries was written and never answered."""
    begun: bool = False
    """Whether it was noted that another try begins now, and nothing since: should that sender have died, nobody knows
    whether it was sent. `not_before` is when it began."""

    @property
    def doubtful(self) -> bool:
        """Whether the recipient may have got it."""
        return self.ambiguous or self.begun


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """What a provider gave for a message that it took, by which it can be found again."""

    position: int
    """The recipient's index in the batch."""
    at: float
    """Epoch seconds at which the provider took it."""
    id: str
    """All that is needed to edit or to delete it, in its channel's own writing."""
    moved_to: str = ""
    """The recipient's new address, where the provider said that it has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A recipient that ended otherwise than accepted or cancelled."""

    position: int
    outcome: Outcome
    reason: str
    status: int = 0
    detail: str = ""
    dead: bool = False
    """The address will never work again."""
    since: float | None = None
    """Epoch seconds at which the provider last knew the address to be dead."""
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is recorded of a batch so far."""

    outcomes: bytes | None = None
    """An `Outcome` for each recipient; None: all pending."""
    waiting: tuple[Waiting, ...] = ()
    """Of pending recipients alone."""
    receipts: tuple[Receipt, ...] = ()
    """Those that the store may not have yet."""
    pending: int
    edition: str = ""
    """Of the batch that was planned (`Planned.edition`)."""

    @property
    def size(self) -> int:
        return self.pending if self.outcomes is None else len(self.outcomes)


class Column(Protocol):
    """Something of each recipient, by position."""

    def __getitem__(self, position: int, /) -> bytes: ...


class Who(Protocol):
    """A batch's recipients, or at least those at the positions that are asked for."""

    @property
    def recipients(self) -> Column: ...

    @property
    def addresses(self) -> Column: ...


class Then(Enum):
    """What becomes of a batch's lease once its outcomes are durable."""

    KEEP = "keep"
    """Nothing: a checkpoint, the batch is still being sent."""
    RELEASE = "release"
    """Given back to the queue, to be taken again after the settlement's delay."""
    ACK = "ack"
    """Every recipient has an outcome."""
    BURY = "bury"
    """Nobody can work on it; see the settlement's `why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is new about a batch. Recording it twice, or recording an older one later, changes nothing."""

    lease: Lease
    batch: Who | None
    """None where it could not be read."""
    outcomes: bytes
    """An `Outcome` for each recipient; PENDING where nothing is new. Empty: nothing is new at all."""
    failures: tuple[Failure, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    """Of each recipient that is still pending, one counts: see `merging.latest`."""
    receipts: tuple[Receipt, ...] = ()
    """Of recipients that were accepted; the first one of each counts."""
    then: Then = Then.KEEP
    delay: float = 0.0
    why: str = field(default="", repr=False)
    at: float | None = None
    """Epoch seconds at which it became known; None: just now."""


class Ledger(Protocol):
    """Where a sender learns what is recorded, and tells what is new. `recorder.Recorder` is one."""

    async def standings(self, leases: Sequence[Lease]) -> Mapping[str, Standing]:
        """What is recorded of some batches, by id; those the store doesn't know are absent.

        Raises: StoreUnavailable.
        """

    async def unplanned(self, lease: Lease) -> Settlement:
        """What becomes of a batch of which there is no standing. Raises: StoreUnavailable."""

    async def record(self, settlement: Settlement) -> None:
        """Returns when the settlement is durable and its lease has ended as it says."""

    async def intend(self, settlement: Settlement) -> None:
        """Returns when it is durable who is about to be sent (`Waiting.begun`), and what is known besides.

        Raises: StoreUnavailable: they must not be sent then.
        """

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """The same for some at once, and where nothing else of the ledger's is going. Raises: StoreUnavailable."""
