"""What a lane has done since its process started, for displays and metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from stentor.outcome import Outcome
from stentor.recording.contract import Settlement
from stentor.sending.retry import Decision


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts that only grow; but for `batches`, of recipients."""

    batches: int = 0
    sent: int = 0
    """Once for each try."""
    accepted: int = 0
    retried: int = 0
    """Recipients that were put back to be tried again, each time."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By reason; as many as the provider's table has, and our own."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Answers that no table has, by reason."""

    def land(self, decision: Decision) -> None:
        """What was sent of a batch is answered."""
        self.accepted += decision.accepted
        self.retried += len(decision.waiting)
        if decision.unknown:
            self.unknown.update(answer.reason for answer in decision.unknown)

    def settle(self, settlement: Settlement) -> None:
        """A batch is settled, sent or not."""
        if settlement.account is not None and settlement.account.failures:
            failures = settlement.account.failures
            self.rejected.update(each.reason for each in failures if each.outcome is Outcome.REJECTED)
