"""What becomes of a batch's recipients without being sent, and who of them is to be sent now. Pure.

Rules: who is settled already stays so; everybody who is pending is accounted for in what comes out, with a reason
wherever it is no acceptance and no cancellation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from stentor.batch import Batch, decode_batch
from stentor.errors import BatchUnreadable
from stentor.outcome import Outcome
from stentor.providers.contract import Answer
from stentor.providers.lane import Flight
from stentor.queue.contract import Lease
from stentor.recording.contract import Failure, Receipt, Settlement, Standing, Then, Waiting
from stentor.sending.retry import SOON

DEAD_LETTER = "DeadLetter"
INTERRUPTED = "Interrupted"
"""The reason of those to whom a sender was about to send when it died."""
UNSENT = "NotProcessed"
LATER = 0.001
"""Seconds by which an intent is later than the try before it, whatever the clock says."""


def read_batch(lease: Lease, standing: Standing) -> Batch:
    """The batch of a lease. Raises: BatchUnreadable."""
    batch = decode_batch(lease.payload)
    if len(batch) != standing.size:
        raise BatchUnreadable("it has other recipients than were planned")
    return batch


def due(standing: Standing, now: float) -> tuple[Sequence[int], float]:
    """Positions of those to be sent now; and when the next one may be, where that is nobody yet."""
    if standing.outcomes is None and not standing.waiting:
        return range(standing.size), now
    later = {each.position: each.not_before for each in standing.waiting if each.not_before > now + SOON}
    positions = [position for position in _pending(standing) if position not in later]
    return positions, now if positions else min(later.values())


def at_positions(answers: Mapping[int, Answer], positions: Sequence[int], batch: Batch) -> dict[int, Answer]:
    """Answers by position in the batch, as they concern the addresses registered with us."""
    if not answers:
        return {}
    registered = batch.registered_at
    found = {positions[index]: answer for index, answer in answers.items()}
    if registered is None:
        return found
    return {at: answer.for_registration(registered[at] or None) for at, answer in found.items()}


def receipts_of(flight: Flight, positions: Sequence[int]) -> tuple[Receipt, ...]:
    """What the provider gave so far for a flight's recipients, who are at these positions of the batch."""
    return tuple(
        Receipt(positions[index], taken.at, taken.id, taken.moved_to) for index, taken in flight.receipts().items()
    )


def intents(positions: Iterable[int], tried: Mapping[int, Waiting], now: float) -> list[Waiting]:
    """That those at these positions are about to be sent, after what is known of earlier tries."""
    return [
        Waiting(position, 0, now, INTERRUPTED, begun=True)
        if (earlier := tried.get(position)) is None
        else msgspec.structs.replace(
            earlier, not_before=max(now, earlier.not_before + LATER), reason=INTERRUPTED, begun=True
        )
        for position in positions
    ]


def concluded(
    waiting: Iterable[Waiting], begun: Iterable[Waiting], outcomes: Sequence[int], now: float
) -> tuple[Waiting, ...]:
    """Who waits for another try once what was begun has landed: such that each counts in place of its intent, together
    with those who weren't sent after all."""
    found = {each.position: each for each in waiting}
    for intent in begun:
        if outcomes[intent.position] == Outcome.PENDING:
            again = found.get(intent.position) or Waiting(intent.position, intent.tries, now, UNSENT, intent.ambiguous)
            at = max(again.not_before, intent.not_before)
            found[intent.position] = msgspec.structs.replace(again, not_before=at)
    return tuple(found.values())


def interrupted(standing: Standing) -> tuple[tuple[Failure, ...], Standing]:
    """Those whom a sender had begun to send to when it died, as ambiguous; and the standing of the others."""
    begun = [each for each in standing.waiting if each.begun]
    if not begun:
        return (), standing
    ended = bytearray(standing.size) if standing.outcomes is None else bytearray(standing.outcomes)
    for each in begun:
        ended[each.position] = Outcome.AMBIGUOUS
    left = replace(
        standing,
        outcomes=bytes(ended),
        waiting=tuple(each for each in standing.waiting if not each.begun),
        pending=ended.count(Outcome.PENDING),
    )
    return tuple(_doubtful(each) for each in begun), left


def with_failures(settlement: Settlement, failures: Sequence[Failure], size: int) -> Settlement:
    """A settlement of a batch of so many, with the end of some more."""
    if not failures:
        return settlement
    outcomes = bytearray(settlement.outcomes or bytes(size))
    for each in failures:
        outcomes[each.position] = each.outcome
    return replace(settlement, outcomes=bytes(outcomes), failures=(*settlement.failures, *failures))


def end_all(
    lease: Lease, batch: Batch | None, standing: Standing, outcome: Outcome, answer: Answer | None = None
) -> Settlement:
    """Everybody who is pending ends so without being sent (again). Who is cancelled needs no `answer`."""
    pending = _pending(standing)
    tried = {each.position: each for each in standing.waiting}
    outcomes = bytearray(standing.size)
    failures: list[Failure] = []
    for position in pending:
        failure = _unsent(position, outcome, answer, tried.get(position))
        outcomes[position] = outcome if failure is None else failure.outcome
        if failure is not None:
            failures.append(failure)
    return Settlement(lease=lease, batch=batch, outcomes=bytes(outcomes), failures=tuple(failures), then=Then.ACK)


def called_off(lease: Lease, standing: Standing) -> Settlement:
    """What becomes of a batch whose campaign was stopped, whatever is in it: who is pending is cancelled, unsent."""
    return end_all(lease, None, standing, Outcome.CANCELLED)


def _unsent(position: int, outcome: Outcome, answer: Answer | None, tried: Waiting | None) -> Failure | None:
    """Why one ends unsent. Who may have got it from an earlier try stays ambiguous, whatever ends the batch; what
    expires after it was tried does so for the reason it wasn't accepted then."""
    if tried is not None and tried.doubtful:
        return _doubtful(tried)
    if tried is not None and outcome is Outcome.EXPIRED:
        return Failure(position=position, outcome=outcome, reason=tried.reason, tries=tried.tries)
    if answer is None:
        return None
    return Failure(
        position=position,
        outcome=outcome,
        reason=answer.reason,
        status=answer.status,
        detail=answer.detail,
        tries=tried.tries if tried else 0,
    )


def _doubtful(tried: Waiting) -> Failure:
    tries = tried.tries + tried.begun
    return Failure(position=tried.position, outcome=Outcome.AMBIGUOUS, reason=tried.reason, tries=tries)


def bury(lease: Lease, batch: Batch | None, standing: Standing, why: str) -> Settlement:
    """Nobody can work on it: its recipients may have been sent to or not, and it stays for people to look at."""
    outcomes = bytearray(standing.size)
    failures = []
    for at in _pending(standing):
        outcomes[at] = Outcome.AMBIGUOUS
        failures.append(
            Failure(position=at, outcome=Outcome.AMBIGUOUS, reason=DEAD_LETTER, detail=why, tries=lease.deliveries)
        )
    return Settlement(
        lease=lease, batch=batch, outcomes=bytes(outcomes), failures=tuple(failures), then=Then.BURY, why=why
    )


def _pending(standing: Standing) -> Sequence[int]:
    """Positions of those who have no outcome yet."""
    if standing.outcomes is None:
        return range(standing.size)
    return [position for position, outcome in enumerate(standing.outcomes) if outcome == Outcome.PENDING]


def give_back(lease: Lease, batch: Batch | None, delay: float) -> Settlement:
    """Nothing is new; it is taken again after `delay` seconds."""
    return Settlement(lease=lease, batch=batch, outcomes=b"", then=Then.RELEASE, delay=max(0.0, delay))
