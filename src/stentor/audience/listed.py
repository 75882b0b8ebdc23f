"""Addresses that were named for a message, as an audience: devices or chats that are in no table.

Rules: their keys are `address-1`, `address-2` and so on, in the order in which they were named, so that no report shows
an address; all of them are on one lane. They are stored with their message, apart from what is shown of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from stentor.audience.contract import LANGUAGE, NO_LANE, Page, Range, Wanted
from stentor.store.database import Database
from stentor.store.tables import campaigns

_STORED = sa.select(campaigns.c.addresses).where(campaigns.c.id == sa.bindparam("message"))


class Addresses(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Some addresses on one lane."""

    lane: str = NO_LANE
    values: list[str] = []
    language: str | None = None
    """Of all of them."""

    def __repr__(self) -> str:
        """Shows none: who has all of one may send to it."""
        return f"<{len(self.values)} addresses on {self.lane}>"

    @property
    def keys(self) -> list[str]:
        """What each is called."""
        return [f"address-{number}" for number in range(1, len(self.values) + 1)]


def encode_addresses(addresses: Addresses) -> bytes:
    return msgspec.msgpack.encode(addresses)


class ListedAudience:
    """See `contract.Audience`. There are few of them, so all are in one page."""

    def __init__(self, database: Database, message_id: str, lanes: Collection[str]) -> None:
        """Args:
        database: the store.
        lanes: those that are configured now.
        """
        self._database = database
        self._message_id = message_id
        self._lanes = frozenset(lanes)

    def __repr__(self) -> str:
        return f"<ListedAudience of message {self._message_id}>"

    async def check(self, wanted: Wanted) -> None:
        """Nothing can be wrong with it: what templates need and it has not is told of each recipient."""

    async def count(self) -> Mapping[str, int]:
        addresses = await self._addresses()
        return {self._lane_of(addresses): len(addresses.values)} if addresses.values else {}

    async def zones(self) -> Mapping[str | None, int]:
        """See the contract. An address says nothing of where it is."""
        return {None: sum(count for lane, count in (await self.count()).items() if lane != NO_LANE)}

    async def nowhere(self) -> Mapping[str, int]:
        """See the contract. All are on one lane, which was looked at before the message was made."""
        return {}

    async def known(self, names: Collection[str]) -> list[str]:
        """None: there is nothing but addresses."""
        return []

    async def ranges(self, parts: int) -> list[Range]:
        keys = (await self._addresses()).keys
        return [Range(after=None, upto=max(keys))] if keys else []

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        """All of them, whatever the limit."""
        addresses = await self._addresses()
        keys = addresses.keys if lanes is None or self._lane_of(addresses) in lanes else []
        return page_of(addresses, keys, self._lane_of(addresses), wanted)

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        addresses = await self._addresses()
        return page_of(addresses, keys, self._lane_of(addresses), wanted)

    async def aclose(self) -> None:
        """It holds nothing."""

    def _lane_of(self, addresses: Addresses) -> str:
        return addresses.lane if addresses.lane in self._lanes else NO_LANE

    async def _addresses(self) -> Addresses:
        """Those that were stored; none where the message was deleted."""
        rows = await self._database.rows(_STORED, {"message": self._message_id})
        stored = rows[0].addresses if rows else None
        return msgspec.msgpack.decode(stored, type=Addresses) if stored else Addresses()


def page_of(addresses: Addresses, keys: Sequence[str], lane: str, wanted: Wanted) -> Page:
    """Those of these keys, in key order, as they are on this lane."""
    known = dict(zip(addresses.keys, addresses.values, strict=True))
    found = sorted(known.keys() & set(keys))
    return Page(
        keys=[key.encode() for key in found],
        addresses=[known[key].encode() for key in found],
        lanes=lane,
        languages=[addresses.language] * len(found) if wanted.language else None,
        variables=[_variables(addresses, wanted) for _ in found] if wanted.variables else None,
    )


def _variables(addresses: Addresses, wanted: Wanted) -> dict[str, str]:
    return {LANGUAGE: addresses.language} if LANGUAGE in wanted.variables and addresses.language else {}
