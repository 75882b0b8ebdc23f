"""What is known of a batch, put together from what is told of it. Pure.

Rules: merging is the same in any order and however often; a recipient's first terminal outcome is its last, and who is
still pending has one thing that is known of the next try.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stentor.outcome import Outcome
from stentor.recording.contract import Receipt, Standing, Waiting
from stentor.recording.receipts import merged_receipts

_WAITING = msgspec.msgpack.Decoder(tuple[Waiting, ...])
_PENDING = bytes([Outcome.PENDING])
_OPEN = bytes([0xFF]) + bytes(0xFF)
"""Translates outcomes to a mask: all bits where one is pending, none where it is terminal."""


def merge_outcomes(before: bytes, news: bytes) -> bytes:
    """The first terminal outcome of each recipient. Both have the same length."""
    if before == bytes(len(before)):
        return news
    known, told = int.from_bytes(before, "little"), int.from_bytes(news, "little")  # a thousand bytes at once
    undecided = int.from_bytes(before.translate(_OPEN), "little")
    return (known | (told & undecided)).to_bytes(len(before), "little")


def latest(one: Waiting, other: Waiting) -> Waiting:
    """Which of two that concern one recipient counts: the one with more tries, or else the later one. Who may have got
    it once, may have got it for ever."""
    found = max(one, other, key=lambda waits: (waits.tries, waits.not_before, not waits.begun, waits.reason))
    if (one.ambiguous or other.ambiguous) and not found.ambiguous:
        return msgspec.structs.replace(found, ambiguous=True)
    return found


def merge_waiting(known: bytes | None, news: Iterable[Waiting], outcomes: bytes) -> bytes | None:
    """The `waiting` of a batch's row, with news; None where nobody is known to wait."""
    still = _pending([*(_WAITING.decode(known) if known else ()), *news], outcomes)
    return msgspec.msgpack.encode(still) if still else None


def merged(
    standing: Standing, outcomes: bytes, waiting: Iterable[Waiting], receipts: Iterable[Receipt] = ()
) -> Standing:
    """A standing with what else is known. `outcomes` may be empty, where nothing is new; what is of another number of
    recipients than the batch has is left out."""
    known = bytes(standing.size) if standing.outcomes is None else standing.outcomes
    if len(outcomes) not in (0, len(known)):
        return standing
    if outcomes:
        known = merge_outcomes(known, outcomes)
    return Standing(
        outcomes=known,
        waiting=_pending([*standing.waiting, *waiting], known),
        receipts=merged_receipts(standing.receipts, receipts),
        pending=known.count(Outcome.PENDING),
        edition=standing.edition,
    )


def _pending(waiting: Iterable[Waiting], outcomes: bytes) -> tuple[Waiting, ...]:
    """What counts of each who is pending, by position."""
    found: dict[int, Waiting] = {}
    for each in waiting:
        other = found.get(each.position)
        found[each.position] = each if other is None else latest(other, each)
    return tuple(found[at] for at in sorted(found) if outcomes[at : at + 1] == _PENDING)
