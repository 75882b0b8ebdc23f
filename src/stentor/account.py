"""The account of a batch: all that is known of its recipients. One value, wherever it is kept. Pure.

It is what a sender has in hand, what it tells the recorders, what it leaves in a note for the next one, and what a row
of the store holds (there the failures and receipts are in tables of their own). Rules: two accounts of a batch merge
into one, in any grouping and however often; of each recipient the first terminal outcome stands, with the failure that
explains it; who is pending has one thing that is known of the next try; who may have got the message once may have got
it for ever, so that no later news makes an *expired*, a *cancelled* or a provider's refusal of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from stentor.errors import BatchUnreadable
from stentor.outcome import Outcome

INTERRUPTED = "Interrupted"
"""The reason of those who may have got the message, as their sender died, and who are sent to no more."""
DEAD_LETTER = "DeadLetter"
"""The reason of those whose batch, or what became of it, was put aside."""
LONGEST_NOTE_DETAIL = 60
"""Characters of a failure's detail where an account would else be larger than a queue takes."""


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
    """Whether it may have got the message: a try was written and never answered, or its sender died."""
    begun: bool = False
    """Whether it was noted that another try begins now, and nothing since: should that sender have died, nobody knows
    whether it was sent. `not_before` is when it began."""
    failing_since: int = 0
    """Epoch seconds of its first try that failed, or when its host could first not be reached; 0: neither."""


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


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a batch's recipients. Every terminal outcome but ACCEPTED and CANCELLED has its failure, here or
    in the store's table."""

    outcomes: bytes
    """An `Outcome` for each recipient; PENDING where none is known."""
    failures: tuple[Failure, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    """Of recipients who are pending, one of each at most."""
    receipts: tuple[Receipt, ...] = ()
    """By position, one of each at most."""

    def __len__(self) -> int:
        return len(self.outcomes)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)}, {self.pending} pending>"

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.waiting or self.receipts or self.pending < len(self.outcomes))

    @property
    def pending(self) -> int:
        """Recipients without an outcome."""
        return self.outcomes.count(Outcome.PENDING)

    def learnt(self) -> Account:
        """What providers said, which holds whoever holds the batch. Left out is what its holder decided of those whom
        it didn't send: another may be sending them."""
        failures = tuple(each for each in self.failures if each.tries and each.outcome is not Outcome.EXPIRED)
        outcomes = bytearray(self.outcomes.translate(_ONLY_ACCEPTED))
        for each in failures:
            outcomes[each.position] = each.outcome
        return Account(outcomes=bytes(outcomes), failures=failures, receipts=self.receipts)

    @property
    def decided(self) -> bool:
        """Whether it says of anybody how they end who weren't sent, which `learnt` leaves out."""
        return self.learnt().pending != self.pending


_NOT_REACHED = frozenset({Outcome.REJECTED, Outcome.EXPIRED, Outcome.CANCELLED})
_ONLY_ACCEPTED = bytes(each if each == Outcome.ACCEPTED else Outcome.PENDING for each in range(256))
_OPEN = bytes([0xFF]) + bytes(0xFF)
"""Translates outcomes to a mask: all bits where one is pending, none where it is terminal."""
_DECODER = msgspec.msgpack.Decoder(Account)
_WAITING = msgspec.msgpack.Decoder(tuple[Waiting, ...])


def unknown(size: int) -> Account:
    """The account of a batch of so many of which nothing is known."""
    return Account(outcomes=bytes(size))


def merge(known: Account, news: Account) -> Account:
    """One account of what two say of a batch. Where both have an outcome of somebody, the known one stands. What is of
    another number of recipients than the batch has is left out."""
    if len(news) != len(known):
        return known
    news = _in_doubt(news, [each.position for each in known.waiting if each.ambiguous])
    outcomes = merge_outcomes(known.outcomes, news.outcomes)
    return Account(
        outcomes=outcomes,
        failures=_explaining([*known.failures, *news.failures], outcomes),
        waiting=still_waiting([*known.waiting, *news.waiting], outcomes),
        receipts=merge_receipts(known.receipts, news.receipts),
    )


def _in_doubt(news: Account, positions: Iterable[int]) -> Account:
    """News of a batch of which those at these positions may have got the message: who would end otherwise is
    *ambiguous*, for the same reason. But whom our own checks refuse, they refused before."""
    ours = {each.position for each in news.failures if not each.status and each.outcome is Outcome.REJECTED}
    ended = {at for at in positions if news.outcomes[at] in _NOT_REACHED}.difference(ours)
    if not ended:
        return news
    outcomes = bytearray(news.outcomes)
    for at in ended:
        outcomes[at] = Outcome.AMBIGUOUS
    failures = [replace(each, outcome=Outcome.AMBIGUOUS) if each.position in ended else each for each in news.failures]
    unexplained = ended.difference(each.position for each in failures)
    failures += [Failure(position=at, outcome=Outcome.AMBIGUOUS, reason=INTERRUPTED) for at in sorted(unexplained)]
    return msgspec.structs.replace(news, outcomes=bytes(outcomes), failures=tuple(failures))


def merge_outcomes(before: bytes, news: bytes) -> bytes:
    """The first terminal outcome of each recipient. Both have the same length."""
    if before == bytes(len(before)):
        return news
    known, told = int.from_bytes(before, "little"), int.from_bytes(news, "little")  # a thousand bytes at once
    undecided = int.from_bytes(before.translate(_OPEN), "little")
    return (known | (told & undecided)).to_bytes(len(before), "little")


def merge_receipts(known: Iterable[Receipt], news: Iterable[Receipt]) -> tuple[Receipt, ...]:
    """The first receipt of each recipient, in the batch's order."""
    found = {receipt.position: receipt for receipt in known}
    for receipt in news:
        found.setdefault(receipt.position, receipt)
    return tuple(found[position] for position in sorted(found))


def latest(one: Waiting, other: Waiting) -> Waiting:
    """Which of two that concern one recipient counts: the one with more tries, or else the later one."""
    found = max(one, other, key=lambda waits: (waits.tries, waits.not_before, not waits.begun, waits.reason))
    ambiguous = one.ambiguous or other.ambiguous
    since = min(filter(None, (one.failing_since, other.failing_since)), default=0)
    if (found.ambiguous, found.failing_since) != (ambiguous, since):
        return msgspec.structs.replace(found, ambiguous=ambiguous, failing_since=since)
    return found


def still_waiting(waiting: Iterable[Waiting], outcomes: bytes) -> tuple[Waiting, ...]:
    """What counts of each who is pending, by position."""
    found: dict[int, Waiting] = {}
    for each in waiting:
        other = found.get(each.position)
        found[each.position] = each if other is None else latest(other, each)
    return tuple(found[at] for at in sorted(found) if outcomes[at] == Outcome.PENDING)


def _explaining(failures: Iterable[Failure], outcomes: bytes) -> tuple[Failure, ...]:
    """The first failure of each recipient that is of the outcome which stands, by position."""
    found: dict[int, Failure] = {}
    for each in failures:
        if outcomes[each.position] == each.outcome:
            found.setdefault(each.position, each)
    return tuple(found[position] for position in sorted(found))


def encode_account(account: Account, largest: int) -> bytes:
    """As bytes, of which there are `largest` at most: for their sake the details of failures are cut short. Where even
    that isn't enough, it is left out how the last of those who failed end: at worst they are sent to again."""
    encoded = msgspec.msgpack.encode(account)
    for longest in (LONGEST_NOTE_DETAIL, 0):
        if len(encoded) <= largest:
            break
        failures = tuple(replace(each, detail=each.detail[:longest]) for each in account.failures)
        account = msgspec.structs.replace(account, failures=failures)
        encoded = msgspec.msgpack.encode(account)
    while len(encoded) > largest and account.failures:
        account = _without_last_failures(account)
        encoded = msgspec.msgpack.encode(account)
    return encoded


def _without_last_failures(account: Account) -> Account:
    """Without half of those who failed."""
    half = len(account.failures) // 2
    outcomes = bytearray(account.outcomes)
    for each in account.failures[half:]:
        outcomes[each.position] = Outcome.PENDING
    return msgspec.structs.replace(account, outcomes=bytes(outcomes), failures=account.failures[:half])


def decode_account(encoded: bytes) -> Account:
    """What `encode_account` made. Raises: BatchUnreadable."""
    try:
        account = _DECODER.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchUnreadable(f"not an account: {error}") from None
    check_positions(account)
    return account


def check_positions(account: Account) -> None:
    """See that it tells of nobody whom the batch doesn't have. Raises: BatchUnreadable."""
    told = (account.failures, account.waiting, account.receipts)
    if any(not 0 <= each.position < len(account) for column in told for each in column):
        raise BatchUnreadable("it tells of recipients that the batch doesn't have")


def encode_waiting(waiting: tuple[Waiting, ...]) -> bytes | None:
    """As the store's column; None where nobody waits."""
    return msgspec.msgpack.encode(waiting) if waiting else None


def decode_waiting(encoded: bytes | None) -> tuple[Waiting, ...]:
    """What `encode_waiting` made."""
    return _WAITING.decode(encoded) if encoded else ()


def ends(size: int, failures: Iterable[Failure], others: Mapping[int, Outcome] | None = None) -> Account:
    """The account of a batch of so many that says how some end: those of the failures, and others without one."""
    outcomes = bytearray(size)
    for position, outcome in (others or {}).items():
        outcomes[position] = outcome
    found = tuple(failures)
    for each in found:
        outcomes[each.position] = each.outcome
    return Account(outcomes=bytes(outcomes), failures=found)
