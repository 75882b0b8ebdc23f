"""What a sender tells the recorder about a batch, and what must be known to go on with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from stentor.account import Account
from stentor.queue.contract import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a batch that was taken."""

    account: Account
    """All of it, from wherever."""
    beside: Account
    """As much of it as the store may not have yet."""


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
    """What becomes of a batch's lease once its account is durable."""

    KEEP = "keep"
    """Nothing: a checkpoint, the batch is still being sent."""
    RELEASE = "release"
    """Given back to the queue, to be taken again after the settlement's delay: nobody was begun of whom it isn't
    told."""
    PUT_BACK = "put back"
    """The same, as if it had not been taken: what is to be told of those whom an earlier holder began isn't told."""
    ACK = "ack"
    """Every recipient has an outcome."""
    BURY = "bury"
    """Nobody can work on it; see the settlement's `why`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is new about a batch, and what is to become of its lease. Recording it twice, or recording an older one
    later, changes nothing. Where the lease was lost, only what providers said is recorded (`Account.learnt`)."""

    lease: Lease
    batch: Who | None
    """Those at the positions of failures and of receipts with a new address at least. None where it could not be read,
    or where nobody needs to be named."""
    account: Account | None = None
    """None where nothing is new."""
    then: Then = Then.KEEP
    delay: float = 0.0
    """Seconds before it is taken again."""
    why: str = field(default="", repr=False)
    at: float | None = None
    """Epoch seconds at which it became known; None: just now."""


class Ledger(Protocol):
    """Where a sender learns what is recorded, and tells what is new. `recorder.Recorder` is one."""

    async def known(self, leases: Sequence[Lease]) -> Mapping[str, Known]:
        """What is known of some batches, by id; those the store doesn't know are absent.

        Raises: StoreUnavailable.
        """

    async def unplanned(self, lease: Lease) -> Settlement:
        """What becomes of a batch of which nothing is known. Raises: StoreUnavailable."""

    async def record(self, settlement: Settlement) -> None:
        """Returns when the settlement is durable and its lease has ended as it says."""

    async def intend(self, settlement: Settlement) -> None:
        """Returns when it is durable who is about to be sent (`Waiting.begun`), and what is known besides.

        Raises:
            LeaseLost: another may have the batch, and nothing was written. They must not be sent then.
            StoreUnavailable: it may have been written; they must not be sent all the same.
        """

    async def commit(self, settlements: Sequence[Settlement]) -> None:
        """The same for some at once, and where nothing else of the ledger's is going. Raises: StoreUnavailable."""
