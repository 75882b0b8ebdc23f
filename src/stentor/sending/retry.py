"""What the answers to a batch ask for: a pure decision, done by others.

Rules: whatever the provider says, each recipient that was sent ends settled or waiting, never both and never neither;
what waits is tried within the message's lifetime or not at all; a refusal that is our fault (credentials, settings)
settles nobody. Nothing here sleeps, sends or writes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from stentor.account import Failure, Waiting
from stentor.outcome import SETTLES, Outcome, Scope, Verdict
from stentor.providers.contract import Answer

FIRST_BACKOFF = 1.0
"""Seconds before a second try, where nobody names a time; doubled with each further one."""
RECONNECT_BACKOFF = 0.25
"""The same where the provider certainly didn't act upon the request."""
PLATFORM_WAIT = 300.0
"""Seconds before recipients of a platform whose own credentials are wrong (an FCM project's APNs key, say) are tried
again. The lane's other platforms go on meanwhile, so this can't be a stop."""
ENOUGH_FOR_ALL = 20
"""Recipients that must get the same, before it says more than something about each of them: that the settings are
wrong, or the message."""
NEARLY_ALL = 0.9
"""The share of those the provider refused that must get a refusal ordinary for one, before the settings are at fault:
whoever asks the wrong project about strangers' addresses still hears of some that they are gone."""
CALLS_FOR_QUIET = 0.1
"""The share of a batch that must hear that the whole lane is too fast, before it is quiet. One server of many that is
overloaded says the same, to a few; they wait, and nobody else."""
SOON = 0.05
"""Seconds by which a recipient may be tried too early, so that it goes along with others of its batch."""

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
    blamed: bool
    """Whether its settings are suspected already: then a trial of a few is enough to go on suspecting them."""
    alike: bool
    """Whether those who were sent got the campaign's message as all others do: not each a text of their own, nor all of
    them the same translation. Else what the provider has against it says nothing of the others."""
    give_up_after: float = math.inf
    """Seconds after its first failed try from which a recipient isn't tried again."""


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
    blamed: bool = False
    """Whether that is so only because nearly everybody was refused: nobody's address is at fault then."""
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
    decision.stop = _blame(answers, decision.accepted, where)
    decision.blamed = decision.stop is not None
    waits: dict[tuple[str, int, float | None], float] = {}
    for position, answer in answers.items():
        if not answer.known:
            decision.unknown.append(answer)
        if decision.blamed and (answer.stop_if_all or answer.verdict is Verdict.DROP):
            outcomes[position] = Outcome.PENDING
            continue
        earlier = before.get(position)
        tries = earlier.tries + 1 if earlier else 1
        outcome = SETTLES.get(answer.verdict)
        if answer.verdict is Verdict.WAIT:
            _wait_for_its_turn(decision, position, answer, earlier, where)
        elif outcome is not None:
            decision.answered += answer.status != 0  # else it was we who refused
            _end(decision, position, outcome, answer, tries, where.now)
        elif answer.verdict in _DOWN or not _concerns_lane_alone(decision, answer):
            key = (answer.reason, tries, answer.retry_after)
            if key not in waits:
                waits[key] = where.now + wait(answer, tries, where)
            again = Waiting(
                position,
                tries,
                waits[key],
                answer.reason,
                ambiguous=bool(earlier and earlier.ambiguous),
                failing_since=_failing_since(answer, earlier, where.now),
            )
            _try_again(decision, again, answer, where)
        else:
            outcomes[position] = Outcome.PENDING
    decision.throttle = quiet(answers, len(sent), where.longest_backoff)
    decision.refusal = _refusal(answers, decision.accepted) if where.alike else None
    return decision


def wait(answer: Answer, tries: int, where: Circumstances) -> float:
    """Seconds before a recipient is tried again: never less than the provider asks, more with each try."""
    asked = _asked(answer, where.longest_backoff)
    asked = asked * (1 + where.chance / 10) + SOON if asked else 0.0
    if answer.verdict is Verdict.STOP:
        return max(PLATFORM_WAIT, asked)
    base = RECONNECT_BACKOFF if answer.verdict is Verdict.RECONNECT else FIRST_BACKOFF
    backoff = min(where.longest_backoff, base * 2.0 ** min(tries - 1, 30)) * (0.5 + where.chance / 2)
    return max(asked, backoff)


def quiet(answers: Mapping[int, Answer], sent: int, longest_backoff: float) -> float:
    """Seconds for which the answers to so many recipients ask the whole lane to be quiet; 0 where they don't."""
    retries = [each for each in answers.values() if each.verdict is Verdict.RETRY]
    calls = [each for each in retries if each.scope is Scope.LANE]
    if len(calls) < CALLS_FOR_QUIET * sent:
        calls = []
    calls += [each for each in retries if each.scope is Scope.ACCOUNT]
    return max((_asked(each, longest_backoff) for each in calls), default=0.0)


def _asked(answer: Answer, longest_backoff: float) -> float:
    """Seconds that the answer is to be waited after: what the provider asks for, or else our table, within bounds."""
    wanted = answer.retry_after or 0.0
    return wanted if answer.asked else min(wanted, longest_backoff)


def _blame(answers: Mapping[int, Answer], accepted: int, where: Circumstances) -> Answer | None:
    """The refusal that nearly everybody got although it is ordinary only for some: then the settings are wrong."""
    if where.proven or accepted:
        return None
    refusals = [answer for answer in answers.values() if answer.status and answer.verdict in SETTLES]
    strange = [answer for answer in refusals if answer.stop_if_all]
    if len(strange) < (1 if where.blamed else ENOUGH_FOR_ALL) or len(strange) < NEARLY_ALL * len(refusals):
        return None
    return strange[0]


def _refusal(answers: Mapping[int, Answer], accepted: int) -> Answer | None:
    """What the provider has against the message, where everybody whom it was asked about got that."""
    if accepted:
        return None
    ours = (Verdict.REJECT, Verdict.WAIT)
    asked = [answer for answer in answers.values() if answer.status or answer.verdict not in ours]
    if len(asked) < ENOUGH_FOR_ALL or any(answer.verdict is not Verdict.FIX for answer in asked):
        return None
    return asked[0]


def _concerns_lane_alone(decision: Decision, answer: Answer) -> bool:
    """Whether its recipient just waits for the lane, without a time of its own and without this counting as a try."""
    if answer.verdict is Verdict.STOP and answer.scope is not Scope.PLATFORM:
        decision.stop = decision.stop or answer
        return True
    if answer.verdict is Verdict.REFRESH:
        decision.refresh = True
        return True
    return False


def _wait_for_its_turn(
    decision: Decision, position: int, answer: Answer, earlier: Waiting | None, where: Circumstances
) -> None:
    """It wasn't asked about, so it has as many tries behind it as before."""
    at = where.now + (answer.retry_after or 0.0)
    since = _failing_since(answer, earlier, where.now)
    if earlier:
        again = replace(earlier, not_before=at, failing_since=since)
    else:
        again = Waiting(position, 0, at, answer.reason, failing_since=since)
    if at < _deadline(again, where):
        decision.outcomes[position] = Outcome.PENDING
        decision.waiting.append(again)
    else:
        outcome = Outcome.AMBIGUOUS if again.ambiguous else Outcome.EXPIRED
        _end(decision, position, outcome, answer, again.tries, where.now)


def _try_again(decision: Decision, again: Waiting, answer: Answer, where: Circumstances) -> None:
    """Have a recipient wait for its next try, or end it where there can be none."""
    if answer.verdict in _DOWN:
        decision.down += 1
    if answer.verdict is Verdict.RETRY and answer.scope is Scope.CREDENTIAL:
        decision.hold = True
    if answer.verdict is Verdict.AMBIGUOUS:
        again = replace(again, ambiguous=True)
    if again.not_before < _deadline(again, where) and (where.collapses or answer.verdict is not Verdict.AMBIGUOUS):
        decision.outcomes[again.position] = Outcome.PENDING
        decision.waiting.append(again)
    else:
        outcome = Outcome.AMBIGUOUS if again.ambiguous else Outcome.EXPIRED
        _end(decision, again.position, outcome, answer, again.tries, where.now)


def _failing_since(answer: Answer, earlier: Waiting | None, now: float) -> int:
    """See `Waiting`. A wait for our own pace is no failure, nor is a wait for a platform's credentials."""
    if earlier is not None and earlier.failing_since:
        return earlier.failing_since
    unreachable = answer.verdict is Verdict.WAIT and answer.scope is Scope.CONNECTION
    return int(now) if unreachable or answer.verdict not in (Verdict.WAIT, Verdict.STOP) else 0


def _deadline(waiting: Waiting, where: Circumstances) -> float:
    """Epoch seconds after which this recipient isn't tried."""
    if not waiting.failing_since:
        return where.deadline
    return min(where.deadline, waiting.failing_since + where.give_up_after)


def _end(decision: Decision, position: int, outcome: Outcome, answer: Answer, tries: int, now: float) -> None:
    decision.outcomes[position] = outcome
    if outcome is Outcome.ACCEPTED:
        return
    dead = answer.verdict is Verdict.DROP
    failure = Failure(
        position=position,
        outcome=outcome,
        reason=answer.reason,
        status=answer.status,
        detail=answer.detail,
        dead=dead,
        since=now if dead and answer.since is None else answer.since,  # it may be recorded much later
        tries=tries,
    )
    decision.failures.append(failure)
