"""A batch in a sender's hand, from when it was taken until its lease has ended.

Rules: all that is known of it is in `known`, and what of that the store may not have, or has learnt here, goes into
every settlement; once its lease has ended nothing more of it is sent, since another sender may have it or have had it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stentor.account import Account, Waiting, merge
from stentor.batch import Batch
from stentor.outcome import Outcome
from stentor.pace.paced import PacedFlight
from stentor.providers.lane import Flight
from stentor.queue.contract import Lease
from stentor.recording.contract import Known, Settlement, Then
from stentor.sending.gatekeeper import Trouble
from stentor.sending.retry import settled_so_far
from stentor.sending.settling import at_positions, intents, receipts_of


@dataclass(slots=True, eq=False)
class Delivery:
    """A batch that this process holds."""

    lease: Lease
    began: float
    """When it was taken, by the steady clock."""
    known: Known | None = None
    """None: nothing, not even that it was planned."""
    inherited: bool = False
    """Whether that has something that nobody told yet, of an earlier holder who died."""
    suspect: bool = False
    """Whether it may have killed its sender: it is sent when nothing else is held, and nothing is taken meanwhile."""
    read: Batch | None = None
    """What its payload says; None until it was read, and where it cannot be."""
    beginning: asyncio.Timeout | None = None
    """Cuts short what comes before the flight; None before and after that."""
    flight: Flight | None = None
    positions: Sequence[int] = ()
    """In the batch, of those that the flight sends."""
    collapses: bool = False
    """See `Prepared.collapses`."""
    intents: list[Waiting] = field(default_factory=list)
    """Who is on record as about to be sent, or may be."""
    withdrawn: bool = False
    lost: bool = False
    """Whether its lease has ended, or may have: others may have sent it since, of which nothing is known here."""
    retaken: bool = False
    """Whether it was taken again after that, while it was still in hand."""
    trouble: Trouble | None = None
    """Why it could not be begun, or not to its end."""
    checkpointed: int = 0
    """How many of the flight's recipients the last checkpoint had as accepted or failed."""
    answered: int = 0
    """How many of the flight's requests were answered when `listen` looked last."""
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it is told who is about to be sent or was accepted, so that no note is left over a later one."""

    @property
    def batch(self) -> Batch:
        """As it was read."""
        assert self.read is not None
        return self.read

    @property
    def account(self) -> Account:
        """All that was known when it was begun."""
        assert self.known is not None
        return self.known.account

    @property
    def tried(self) -> Mapping[int, Waiting]:
        """What is known of earlier tries, by position."""
        return {each.position: each for each in self.account.waiting}

    @property
    def is_urgent(self) -> bool:
        """Whether it goes before all batches that aren't."""
        return self.lease.urgent

    @property
    def untried(self) -> Sequence[int]:
        """Positions of those who are to be sent now and were never sent before."""
        tried = {each.position for each in self.account.waiting if each.tries}
        return [at for at in self.positions if at not in tried] if tried else self.positions

    @property
    def is_repeat(self) -> bool:
        """Whether everybody who is to be sent now was sent before."""
        return not self.untried

    @property
    def is_remainder(self) -> bool:
        """See `retry.Circumstances.remainder`."""
        return Outcome.ACCEPTED in self.account.outcomes and self.is_repeat

    def listen(self, now: float) -> tuple[int, bool]:
        """How many of its flight's requests wait for their answers, and whether any was answered since the last time.
        `now` is in epoch seconds."""
        if self.flight is None:
            return 0, False
        answers = self.flight.answers(now)
        accepted = self.flight.accepted().count(1)
        before, self.answered = self.answered, accepted + sum(each.status != 0 for each in answers.values())
        unsent = self.flight.unsent if isinstance(self.flight, PacedFlight) else 0
        return len(self.positions) - unsent - accepted - len(answers), self.answered > before

    # -- calling it back ----------------------------------------------------------------------------------------------

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

    def retake(self, lease: Lease) -> None:
        """It was taken again, and others may have had it meanwhile. What is under way is called back; the new lease is
        that by which it is settled."""
        self.lose()
        self.retaken = True
        self.lease = lease

    # -- what is told of it -------------------------------------------------------------------------------------------

    def settle(
        self, news: Account | None = None, then: Then = Then.ACK, *, delay: float = 0.0, why: str = ""
    ) -> Settlement:
        """What becomes of it: what is new, with what else the store may not know, and of its lease."""
        account = None if self.known is None else self.known.beside
        if news is not None:
            account = news if account is None else merge(account, news)
        if self.retaken:  # what was decided here rests on a lease that is no more
            account, then = account and account.learnt(), Then.PUT_BACK
        return Settlement(
            lease=self.lease, batch=self.read, account=account or None, then=then, delay=max(0.0, delay), why=why
        )

    def give_back(self, delay: float) -> Settlement:
        """Nothing is new of it, but for what an earlier holder began; it is taken again after so many seconds."""
        if self.inherited:
            return self.settle(None, Then.RELEASE, delay=delay)
        then = Then.PUT_BACK if self.retaken else Then.RELEASE
        return Settlement(lease=self.lease, batch=None, then=then, delay=max(0.0, delay))

    def put_back(self, delay: float) -> Settlement:
        """The same where nobody looked at whom an earlier holder may have begun."""
        return Settlement(lease=self.lease, batch=None, then=Then.PUT_BACK, delay=max(0.0, delay))

    def checkpoint(self, now: float, *, proven: bool) -> Settlement | None:
        """Who was accepted and who has failed so far, if these are more than the last time.

        Args:
            now: epoch seconds.
            proven: whether the lane has accepted anything with its present settings.
        """
        before = self.checkpointed
        account = self._so_far(now, proven)
        return self.settle(account, Then.KEEP) if account is not None and self.checkpointed > before else None

    def intend(self, start: int, stop: int, now: float, *, proven: bool) -> Settlement | None:
        """That the flight's recipients from one index to before another are about to be sent, and what is known so far;
        None where nothing flies. See `checkpoint` for the arguments."""
        if self.flight is not None:
            self.intents += intents(self.positions[start:stop], self.tried, now)
        account = self._so_far(now, proven)
        return None if account is None else self.settle(account, Then.KEEP)

    def _so_far(self, now: float, proven: bool) -> Account | None:
        """Who of the flight was accepted, who has failed, and who is on record as about to be sent."""
        if self.flight is None or self.read is None:
            return None
        accepted = self.flight.accepted()
        outcomes = bytearray(len(self.read))
        for position, mark in zip(self.positions, accepted, strict=True):
            outcomes[position] = Outcome.ACCEPTED if mark else Outcome.PENDING
        answers = at_positions(self.flight.answers(now), self.positions, self.read)
        sure = proven or 1 in accepted
        failures = tuple(settled_so_far(answers, self.tried, now, sure=sure, collapses=self.collapses))
        for each in failures:
            outcomes[each.position] = each.outcome
        self.checkpointed = len(outcomes) - outcomes.count(Outcome.PENDING)
        return Account(
            outcomes=bytes(outcomes),
            failures=failures,
            waiting=tuple(each for each in self.intents if outcomes[each.position] == Outcome.PENDING),
            receipts=receipts_of(self.flight, self.positions),
        )
