"""The account of every accepted send: the truth that a sender's own report is compared with.

Columns, not objects: three texts laid end to end in byte arrays, a time and a flag an entry, so that millions fit.
An entry is made when the provider has accepted a message, whether or not its answer ever reaches the sender; `answered`
says whether the answer was handed to the socket.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

_BUCKETS = 256


class Entry(NamedTuple):
    number: int
    address: str
    dedup_id: str
    """What the provider collapses by: `apns-collapse-id`, else `apns-id`; FCM's tag, else collapse key; else empty."""
    message_id: str
    """`apns-id`, or FCM's message name."""
    time: float
    answered: bool


class _Texts:
    """A column of texts of any length: their UTF-8 bytes end to end, and where each ends."""

    __slots__ = ("_bytes", "_ends")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q")

    def append(self, text: str) -> None:
        self._bytes += text.encode()
        self._ends.append(len(self._bytes))

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return self._bytes[start : self._ends[index]].decode()


class ProviderLedger:
    def __init__(self) -> None:
        self._addresses = _Texts()
        self._dedup_ids = _Texts()
        self._message_ids = _Texts()
        self._times = array("d")
        self._answered = bytearray()
        # Duplicates are counted on demand, a bucket of hashes at a time: 8 bytes an entry, not a set of everything.
        self._hashes = [array("Q") for _ in range(_BUCKETS)]

    def __len__(self) -> int:
        return len(self._times)

    def __repr__(self) -> str:
        return f"<ProviderLedger {len(self)} entries, {self._answered.count(1)} answered>"

    def record(self, address: str, dedup_id: str, message_id: str, now: float) -> int:
        """Add an entry, not answered yet; gives its number."""
        number = len(self._times)
        self._addresses.append(address)
        self._dedup_ids.append(dedup_id)
        self._message_ids.append(message_id)
        self._times.append(now)
        self._answered.append(0)
        digest = blake2b(f"{address}\n{dedup_id or message_id}".encode(), digest_size=8).digest()
        self._hashes[digest[0]].append(int.from_bytes(digest))
        return number

    def mark_answered(self, number: int) -> None:
        if number < len(self._answered):  # else the ledger was reset in the meantime
            self._answered[number] = 1

    def __getitem__(self, number: int) -> Entry:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return Entry(
            number,
            self._addresses[number],
            self._dedup_ids[number],
            self._message_ids[number],
            self._times[number],
            bool(self._answered[number]),
        )

    def __iter__(self) -> Iterator[Entry]:
        return (self[number] for number in range(len(self)))

    def page(self, after: int = -1, limit: int = 1_000) -> list[Entry]:
        """Entries whose number is greater than `after`."""
        first = max(after + 1, 0)
        return [self[number] for number in range(first, min(first + limit, len(self)))]

    def addresses(self) -> list[str]:
        return [self._addresses[number] for number in range(len(self))]

    @property
    def answered(self) -> int:
        return self._answered.count(1)

    @property
    def duplicates(self) -> int:
        """Entries beyond the first with the same address and dedup id (the message id where there is none)."""
        return sum(len(bucket) - len(set(bucket)) for bucket in self._hashes)

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]  # every column anew; callers keep their reference to this ledger
