"""Addresses that were named for a message: nothing is known of where they are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stentor.audience.contract import Range, Wanted
from stentor.audience.listed import Addresses, ListedAudience, encode_addresses
from stentor.store.database import Database


class _Stored:
    """The row of a message."""

    def __init__(self, lane: str) -> None:
        self._found = encode_addresses(Addresses(lane=lane, values=["a", "b"]))

    async def rows(self, *_: Any) -> list[Any]:
        return [SimpleNamespace(addresses=self._found)]


@pytest.mark.parametrize(("lane", "zones"), [("apns/ios", {None: 2}), ("apns/gone", {None: 0})])
async def test_they_have_no_time_zones(lane: str, zones: dict[None, int]) -> None:
    audience = ListedAudience(cast("Database", _Stored(lane)), "m", ["apns/ios"])
    assert await audience.zones() == zones
    assert (await audience.page(Range(after=None, upto="z"), 10, Wanted(zone=True))).zones is None
