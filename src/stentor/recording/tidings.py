"""What became of a batch, as a message from its sender to the recorders.

Rules: a message stands for itself, and is read by the Stentor before and after this one as long as `version` is the
same; it names only those recipients who failed; it is never larger than a queue takes: what is larger goes in parts,
each about recipients of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stentor.batch import LARGEST_BATCH, check_version
from stentor.errors import BatchUnreadable
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.contract import Failure, Receipt, Settlement, Waiting, Who

VERSION = 1


class Named(msgspec.Struct, frozen=True):
    """Recipients and addresses at some positions of a batch."""

    recipients: dict[int, bytes]
    addresses: dict[int, bytes]


class Tidings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is new about a batch."""

    version: int
    at: float
    """Epoch seconds at which it became known."""
    outcomes: bytes
    """As in `Settlement`."""
    failures: tuple[Failure, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    named: Named | None = None
    """Those who failed, and those who moved; None where the batch could not be read."""


_DECODER = msgspec.msgpack.Decoder(Tidings)


def encode_tidings(settlement: Settlement, at: float) -> list[bytes]:
    """A settlement that says anything new as messages. The lease isn't in them."""
    return list(_encode(settlement, at, range(max(1, len(settlement.outcomes)))))


def _encode(settlement: Settlement, at: float, part: range) -> Iterable[bytes]:
    failures = tuple(each for each in settlement.failures if each.position in part)
    receipts = tuple(each for each in settlement.receipts if each.position in part)
    positions = [each.position for each in failures] + [each.position for each in receipts if each.moved_to]
    who = settlement.batch
    tidings = Tidings(
        version=VERSION,
        at=at,
        outcomes=_only(settlement.outcomes, part),
        failures=failures,
        waiting=tuple(each for each in settlement.waiting if each.position in part or not settlement.outcomes),
        receipts=receipts,
        named=None if who is None else _named(who, positions),
    )
    message = msgspec.msgpack.encode(tidings)
    if len(message) <= LARGEST_BATCH or len(part) == 1:
        yield message
        return
    half = len(part) // 2
    yield from _encode(settlement, at, part[:half])
    yield from _encode(settlement, at, part[half:])


def _named(who: Who, positions: Iterable[int]) -> Named:
    return Named(
        {position: who.recipients[position] for position in positions},
        {position: who.addresses[position] for position in positions},
    )


def _only(outcomes: bytes, part: range) -> bytes:
    if len(part) >= len(outcomes):
        return outcomes
    rest = len(outcomes) - part.stop
    return bytes([Outcome.PENDING]) * part.start + outcomes[part.start : part.stop] + bytes([Outcome.PENDING]) * rest


def decode_tidings(message: bytes) -> Tidings:
    """What `encode_tidings` made a message of. Raises: BatchTooNew, BatchUnreadable."""
    check_version(message, VERSION, "outcomes")
    try:
        tidings = _DECODER.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchUnreadable(f"not outcomes: {error}") from None
    positions = {each.position for each in tidings.failures} | {
        each.position for each in tidings.receipts if each.moved_to
    }
    named = tidings.named
    if not positions <= set(range(len(tidings.outcomes))) or (
        named is not None and not (positions <= named.recipients.keys() and positions <= named.addresses.keys())
    ):
        raise BatchUnreadable("it tells of recipients that it doesn't name")
    return tidings


def settlement_of(lease: Lease) -> Settlement:
    """The settlement that a message tells of. Raises: BatchTooNew, BatchUnreadable."""
    tidings = decode_tidings(lease.payload)
    return Settlement(
        lease=lease,
        batch=tidings.named,
        outcomes=tidings.outcomes,
        failures=tidings.failures,
        waiting=tidings.waiting,
        receipts=tidings.receipts,
        at=tidings.at,
    )
