"""What became of a batch, as a message from its sender to the recorders: an account, and the names of who failed.

Rules: a message stands for itself, and is read by the Stentor before and after this one as long as `version` is the
same; it names only those recipients who failed; it is never larger than a queue takes: what is larger goes in parts,
each about recipients of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stentor.account import Account, check_positions
from stentor.batch import LARGEST_BATCH, check_version
from stentor.errors import BatchUnreadable
from stentor.queue.contract import Lease
from stentor.recording.contract import Settlement, Who

VERSION = 1


class Named(msgspec.Struct, frozen=True):
    """Recipients and addresses at some positions of a batch."""

    recipients: dict[int, bytes]
    addresses: dict[int, bytes]


class Tidings(Account, frozen=True, kw_only=True, omit_defaults=True):
    """What is new about a batch."""

    version: int
    at: float
    """Epoch seconds at which it became known."""
    named: Named | None = None
    """Those who failed, and those who moved; None where the batch could not be read."""


_DECODER = msgspec.msgpack.Decoder(Tidings)


def encode_tidings(account: Account, who: Who | None, at: float) -> list[bytes]:
    """What is new about a batch as messages, with the names of those who failed."""
    return list(_encode(account, who, at, range(max(1, len(account)))))


def _encode(account: Account, who: Who | None, at: float, part: range) -> Iterable[bytes]:
    failures = tuple(each for each in account.failures if each.position in part)
    receipts = tuple(each for each in account.receipts if each.position in part)
    positions = [each.position for each in failures] + [each.position for each in receipts if each.moved_to]
    tidings = Tidings(
        version=VERSION,
        at=at,
        outcomes=_only(account.outcomes, part),
        failures=failures,
        waiting=tuple(each for each in account.waiting if each.position in part),
        receipts=receipts,
        named=None if who is None else _named(who, positions),
    )
    message = msgspec.msgpack.encode(tidings)
    if len(message) <= LARGEST_BATCH or len(part) == 1:
        yield message
        return
    half = len(part) // 2
    yield from _encode(account, who, at, part[:half])
    yield from _encode(account, who, at, part[half:])


def _named(who: Who, positions: Iterable[int]) -> Named:
    recipients, addresses = {}, {}
    for position in positions:
        recipients[position], addresses[position] = who.recipients[position], who.addresses[position]
    return Named(recipients, addresses)


def _only(outcomes: bytes, part: range) -> bytes:
    """Without what is of other parts."""
    if len(part) >= len(outcomes):
        return outcomes
    return bytes(part.start) + outcomes[part.start : part.stop] + bytes(len(outcomes) - part.stop)


def decode_tidings(message: bytes) -> Tidings:
    """What `encode_tidings` made a message of. Raises: BatchTooNew, BatchUnreadable."""
    check_version(message, VERSION, "outcomes")
    try:
        tidings = _DECODER.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BatchUnreadable(f"not outcomes: {error}") from None
    check_positions(tidings)
    named, positions = tidings.named, {each.position for each in tidings.failures}
    positions |= {each.position for each in tidings.receipts if each.moved_to}
    if named is not None and not (positions <= named.recipients.keys() and positions <= named.addresses.keys()):
        raise BatchUnreadable("it tells of recipients that it doesn't name")
    return tidings


def settlement_of(lease: Lease) -> Settlement:
    """The settlement that a message tells of. Raises: BatchTooNew, BatchUnreadable."""
    tidings = decode_tidings(lease.payload)
    return Settlement(lease=lease, batch=tidings.named, account=tidings, at=tidings.at)
