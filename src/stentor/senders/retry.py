"""What the answers to a batch ask for: a pure decision, done by others.

Rules: whatever the provider says, each recipient that was sent ends settled or waiting, never both and never neither;
what waits is tried within the message's lifetime or not at all; a refusal that is our fault (credentials, settings)
settles nobody. Nothing here sleeps, sends or writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from stentor.outcome import SETTLES, Outcome, Scope, Verdict
from stentor.recording.contract import Failure, Waiting
from stentor.senders.contract import Answer

FIRST_BACKOFF = 1.0
"""Seconds before a second try, where nobody names a time; doubled with each further one."""
RECONNECT_BACKOFF = 0.25
"""The same where the provider certainly didn't act upon the request."""
PLATFORM_WAIT = 300.0
"""Seconds before recipients of a platform whose own credentials are wrong (an FCM project's APNs key, say) are tried
again. The lane's other platforms go on meanwhile, so this can't be a stop."""
ENOUGH_FOR_ALL = 20
"""Recipients that a refusal ordinary for one of them must hit, and nobody else, before the settings are at fault."""

_DOWN = frozenset({Verdict.RETRY, Verdict.RECONNECT, Verdict.AMBIGUOUS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a decision rests on beside the answers. Times are epoch seconds."""

    now: float
    deadline: float
    """After which nothing is tried."""
    longest_backoff: float
    """Seconds; a wait that the provider itself names may be longer."""
    chance: float
    """0 to 1, drawn once for each batch: spreads the tries of different batches."""
    collapses: bool
    """Whether a push that was sent twice is shown once, so that an ambiguous one may be sent again."""
    proven: bool
    """Whether the lane was seen to accept anything with its present settings."""


@dataclass(slots=True, kw_only=True)
class Decision:
    """What becomes of a batch's recipients, and what its lane should do."""

    outcomes: bytearray
    """An `Outcome` for each recipient of the batch; PENDING for those not sent, or to be sent again."""
    failures: list[Failure] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    """Who is tried again, and when; without those that may be sent again at once."""
    accepted: int = 0
    answered: int = 0
    """How many got an answer that shows the provider at work, acceptance and refusal alike."""
    down: int = 0
    """How many got none, or an apology."""
    stop: Answer | None = None
    """Why the lane can't go on: credentials, settings or account."""
    refresh: bool = False
    """The short-lived credential was refused; get another."""
    hold: bool = False
    """Too many new credentials; keep the one there is."""
    throttle: float = 0.0
    """Seconds for which the provider wants the whole lane to be quiet."""
    refusal: Answer | None = None
    """The message itself was refused, for everybody who was asked about."""
    unknown: list[Answer] = field(default_factory=list)
    """Answers that no table has; the provider changed something."""


def decide(
    size: int,
    sent: Collection[int],
    answers: Mapping[int, Answer],
    before: Mapping[int, Waiting],
    where: Circumstances,
) -> Decision:
    """What the answers to a batch of `size` recipients ask for.

    Args:
        sent: positions in the batch of the recipients that were sent this time.
        answers: by position in the batch; who was sent and isn't here was accepted.
        before: by position, what is known of earlier tries.
    """
    outcomes = bytearray(size)
    if len(sent) == size:
        outcomes[:] = b"\x01" * size
    else:
        for position in sent:
            outcomes[position] = Outcome.ACCEPTED
    decision = Decision(outcomes=outcomes, accepted=len(sent) - len(answers))
    decision.answered = decision.accepted
    if not answers:
        return decision
    blame = _blame(answers, decision.accepted, where.proven)
    waits: dict[tuple[str, int, float | None], float] = {}
    for position, answer in answers.items():
        if not answer.known:
            decision.unknown.append(answer)
        if blame and answer.stop_if_all:
            outcomes[position] = Outcome.PENDING
            decision.stop = blame
            continue
        earlier = before.get(position)
        tries = earlier.tries + 1 if earlier else 1
        outcome = SETTLES.get(answer.verdict)
        if outcome is not None:
            decision.answered += 1
            _end(decision, position, outcome, answer, tries)
        elif answer.verdict in _DOWN or not _concerns_lane_alone(decision, answer):
            key = (answer.reason, tries, answer.retry_after)
            if key not in waits:
                waits[key] = where.now + wait(answer, tries, where)
            again = Waiting(position, tries, waits[key], answer.reason, bool(earlier and earlier.ambiguous))
            _try_again(decision, again, answer, where)
        else:
            outcomes[position] = Outcome.PENDING
    if not decision.accepted and all(answer.verdict is Verdict.FIX for answer in answers.values()):
        decision.refusal = next(iter(answers.values()))
    return decision


def wait(answer: Answer, tries: int, where: Circumstances) -> float:
    """Seconds before a recipient is tried again: never less than the provider asks, more with each try."""
    if answer.verdict is Verdict.STOP:
        return PLATFORM_WAIT
    base = RECONNECT_BACKOFF if answer.verdict is Verdict.RECONNECT else FIRST_BACKOFF
    backoff = min(where.longest_backoff, base * 2.0 ** min(tries - 1, 30)) * (0.5 + where.chance / 2)
    asked = answer.retry_after or 0.0
    if not answer.asked:
        asked = min(asked, where.longest_backoff)
    return max(asked * (1 + where.chance / 10), backoff)


def _blame(answers: Mapping[int, Answer], accepted: int, proven: bool) -> Answer | None:
    """The refusal that everybody got although it is ordinary only for some: then it is the settings that are wrong."""
    if proven or accepted or len(answers) < ENOUGH_FOR_ALL:
        return None
    first = next(iter(answers.values()))
    if all(answer.stop_if_all for answer in answers.values()):
        return first
    return None


def _concerns_lane_alone(decision: Decision, answer: Answer) -> bool:
    """Whether its recipient just waits for the lane, without a time of its own and without this counting as a try."""
    if answer.verdict is Verdict.STOP and answer.scope is not Scope.PLATFORM:
        decision.stop = decision.stop or answer
        return True
    if answer.verdict is Verdict.REFRESH:
        decision.refresh = True
        return True
    return False


def _try_again(decision: Decision, again: Waiting, answer: Answer, where: Circumstances) -> None:
    """Have a recipient wait for its next try, or end it where there can be none."""
    if answer.verdict in _DOWN:
        decision.down += 1
    if answer.verdict is Verdict.RETRY and answer.scope is Scope.CREDENTIAL:
        decision.hold = True
    if answer.verdict is Verdict.RETRY and answer.scope is Scope.LANE:
        decision.throttle = max(decision.throttle, answer.retry_after or 0.0)
    if answer.verdict is Verdict.AMBIGUOUS:
        again = replace(again, ambiguous=True)
    if again.not_before < where.deadline and (where.collapses or answer.verdict is not Verdict.AMBIGUOUS):
        decision.outcomes[again.position] = Outcome.PENDING
        decision.waiting.append(again)
    else:
        outcome = Outcome.AMBIGUOUS if again.ambiguous else Outcome.EXPIRED
        _end(decision, again.position, outcome, answer, again.tries)


def _end(decision: Decision, position: int, outcome: Outcome, answer: Answer, tries: int) -> None:
    decision.outcomes[position] = outcome
    if outcome is Outcome.ACCEPTED:
        return
    failure = Failure(
        position=position,
        outcome=outcome,
        reason=answer.reason,
        status=answer.status,
        detail=answer.detail,
        dead=answer.verdict is Verdict.DROP,
        since=answer.since,
        tries=tries,
    )
    decision.failures.append(failure)
