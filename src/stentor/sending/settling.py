"""What becomes of a batch's recipients without being sent, and who of them is to be sent now. Pure.

Rules: who is settled already stays so; everybody who is pending is accounted for in what comes out, with a reason
wherever it is no acceptance and no cancellation; who may have got the message from a sender that died is in doubt, and
ends *ambiguous* unless the provider accepts it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from stentor.account import DEAD_LETTER, INTERRUPTED, Account, Failure, Receipt, Waiting, ends, merge
from stentor.batch import Batch, decode_batch
from stentor.errors import BatchUnreadable
from stentor.outcome import Outcome
from stentor.providers.contract import Answer
from stentor.providers.lane import Flight
from stentor.queue.contract import Lease
from stentor.recording.contract import Known, Settlement, Then
from stentor.sending.retry import SOON

UNSENT = "NotProcessed"
LATER = 0.001
"""Seconds by which an intent is later than the try before it, whatever the clock says."""


def read_batch(lease: Lease, account: Account) -> Batch:
    """The batch of a lease. Raises: BatchTooNew, BatchUnreadable."""
    batch = decode_batch(lease.payload)
    if len(batch) != len(account):
        raise BatchUnreadable("it has other recipients than were planned")
    return batch


def due(account: Account, now: float) -> tuple[Sequence[int], float]:
    """Positions of those to be sent now; and when the next one may be, where that is nobody yet."""
    later = {each.position: each.not_before for each in account.waiting if each.not_before > now + SOON}
    positions = _pending(account)
    if later:
        positions = [position for position in positions if position not in later]
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
    found = [Receipt(positions[at], taken.at, taken.id, taken.moved_to) for at, taken in flight.receipts().items()]
    return tuple(sorted(found, key=lambda receipt: receipt.position))


# -- what an earlier holder began ----------------------------------------------------------------------------------


def intents(positions: Iterable[int], tried: Mapping[int, Waiting], now: float) -> list[Waiting]:
    """That those at these positions are about to be sent, after what is known of earlier tries."""
    return [
        Waiting(position, 0, now, INTERRUPTED, begun=True)
        if (earlier := tried.get(position)) is None
        else replace(earlier, not_before=max(now, earlier.not_before + LATER), reason=INTERRUPTED, begun=True)
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
            found[intent.position] = replace(again, not_before=at)
    return tuple(found[position] for position in sorted(found))


def inherit(
    known: Known, lease: Lease, now: float, *, on_record: bool, repeats: Callable[[int], bool] = lambda _position: True
) -> Known:
    """What is known of a batch, and with it what an earlier holder left unsaid of those whom it may have sent to.

    Args:
        now: epoch seconds.
        on_record: whether nobody of it was sent without being on record as about to be (`Waiting.begun`).
        repeats: whether the recipient at a position would be shown a second message beside the first.
    """
    begun = [each for each in known.account.waiting if each.begun]
    lost = [each for each in begun if repeats(each.position)]
    doubts = [replace(each, begun=False, ambiguous=True) for each in begun if not repeats(each.position)]
    if lease.inherited and not on_record:
        tried = {each.position: each for each in known.account.waiting}
        found = ((tried.get(at) or Waiting(at, 0, now, INTERRUPTED)) for at in _pending(known.account))
        doubts += [replace(each, ambiguous=True) for each in found if not each.begun and each.not_before <= now + SOON]
    if not lost and not doubts:
        return known
    failures = [
        Failure(position=each.position, outcome=Outcome.AMBIGUOUS, reason=each.reason, tries=each.tries + 1)
        for each in lost
    ]
    ended = ends(len(known.account), failures)
    doubts.sort(key=lambda each: each.position)
    news = Account(outcomes=ended.outcomes, failures=ended.failures, waiting=tuple(doubts))
    return Known(account=merge(_unbegun(known.account), news), beside=merge(_unbegun(known.beside), news))


def _unbegun(account: Account) -> Account:
    """Without those who were begun: what became of them is said apart."""
    if not any(each.begun for each in account.waiting):
        return account
    return replace(account, waiting=tuple(each for each in account.waiting if not each.begun))


# -- how those end who aren't sent ---------------------------------------------------------------------------------


def end_all(account: Account, outcome: Outcome, answer: Answer | None = None) -> Account:
    """That everybody who is pending ends so without being sent (again). Who is cancelled needs no `answer`. Who expires
    after a try does so for the reason why it wasn't accepted then."""
    pending = _pending(account)
    tried = {each.position: each for each in account.waiting}
    failures = [_unsent(position, outcome, answer, tried.get(position)) for position in pending]
    return ends(len(account), filter(None, failures), dict.fromkeys(pending, outcome))


def _unsent(position: int, outcome: Outcome, answer: Answer | None, tried: Waiting | None) -> Failure | None:
    if tried is not None and tried.ambiguous:
        return Failure(position=position, outcome=Outcome.AMBIGUOUS, reason=tried.reason, tries=max(1, tried.tries))
    if answer is None:
        return None
    if tried is not None and tried.tries and outcome is Outcome.EXPIRED:
        return Failure(position=position, outcome=outcome, reason=tried.reason, tries=tried.tries)
    return Failure(
        position=position,
        outcome=outcome,
        reason=answer.reason,
        status=answer.status,
        detail=answer.detail,
        tries=tried.tries if tried else 0,
    )


def called_off(lease: Lease, known: Known, now: float, *, on_record: bool) -> Settlement:
    """What becomes of a batch whose campaign was stopped, and that nobody reads: who is pending is cancelled, unless a
    sender that died may have sent to it. See `inherit` for the arguments."""
    known = inherit(known, lease, now, on_record=on_record)
    news = merge(known.beside, end_all(known.account, Outcome.CANCELLED))
    return Settlement(lease=lease, batch=None, account=news, then=Then.ACK)


def put_aside(account: Account, why: str, deliveries: int) -> Account:
    """How those end of whose batch nobody can make anything: they may have been sent to or not."""
    return ends(
        len(account),
        [
            Failure(position=at, outcome=Outcome.AMBIGUOUS, reason=DEAD_LETTER, detail=why, tries=deliveries)
            for at in _pending(account)
        ],
    )


def _pending(account: Account) -> Sequence[int]:
    """Positions of those who have no outcome yet."""
    if account.pending == len(account):
        return range(len(account))
    return [position for position, outcome in enumerate(account.outcomes) if outcome == Outcome.PENDING]
