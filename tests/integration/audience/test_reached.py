"""Those whom a campaign reached: each once, by a receipt or by the address of today, and nobody left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stentor.account import Receipt
from stentor.audience.contract import NO_LANE, Page, Range, Selection, Wanted
from stentor.audience.reached import ReachedAudience
from stentor.batch import apart
from stentor.store.tables import receipts
from tests.integration.recording.rows import NOW, Rows, fresh_rows

IOS, BOT = "apns/ios", "telegram/bot"
PLAIN = Wanted()


class SourceDouble:
    """Knows everybody whose key isn't in `gone`; on the lane of the key's first letter."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.asked: list[str] = []

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        self.asked += keys
        here = sorted(set(keys) - self.gone)
        return Page(
            keys=[key.encode() for key in here],
            addresses=[b"now-" + key.encode() for key in here],
            lanes=[BOT if key.startswith("b") else IOS for key in here],
            languages=["de" for _ in here] if wanted.language else None,
            variables=[{"name": key} for key in here] if wanted.variables else None,
        )

    async def check(self, _wanted: Wanted) -> None: ...

    async def aclose(self) -> None: ...


@pytest.fixture
async def rows(tmp_path: Path) -> AsyncIterator[Rows]:
    async with fresh_rows(f"sqlite:///{tmp_path / 's.db'}") as rows:
        await rows.campaign()
        yield rows


@pytest.fixture
def source() -> SourceDouble:
    return SourceDouble()


def audience(rows: Rows, source: SourceDouble, lanes: Sequence[str] = (IOS, BOT), **selection: Any) -> ReachedAudience:
    whom = Selection(source="users", reached_by="c1", **selection)
    return ReachedAudience(rows.database, source, whom, lanes, [BOT])  # type: ignore[arg-type]


async def everybody(found: ReachedAudience, wanted: Wanted = PLAIN, limit: int = 100) -> list[tuple[bytes, bytes, str]]:
    people = []
    for part in await found.ranges(4):
        after: str | None = None
        while True:
            page = await found.page(Range(after=after, upto=part.upto), limit, wanted)
            assert isinstance(page.lanes, list)
            people += list(zip(page.keys, page.addresses, page.lanes, strict=True))
            if (after := page.cursor) is None:
                break
    return people


async def give(rows: Rows, batch: str, *given: Receipt) -> None:
    encoded = msgspec.msgpack.encode(list(given))
    await rows.insert(receipts, {"batch_id": batch, "campaign_id": "c1", "receipts": encoded})


async def test_who_was_reached_or_perhaps_was_and_nobody_else(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "arxcma", keys=[b"k%d" % number for number in range(6)])
    await rows.campaign("c2")
    await rows.batch(2, "aa", campaign="c2")
    found = audience(rows, source)
    assert await found.count() == {IOS: 3}
    assert await everybody(found) == [(b"k%d" % at, b"now-k%d" % at, IOS) for at in (0, 4, 5)]


async def test_messages_of_chats_are_found_by_their_receipts(rows: Rows, source: SourceDouble) -> None:
    name = await rows.batch(1, "ama", lane=BOT, keys=[b"b0", b"b1", b"b2"])
    await give(rows, name, Receipt(0, NOW, "42:7"), Receipt(2, NOW, "43:8"))
    assert await everybody(audience(rows, source)) == [(b"b0", b"42:7", BOT), (b"b1", b"", BOT), (b"b2", b"43:8", BOT)]
    assert source.asked == []  # nobody need be looked up


async def test_where_a_message_may_be_deleted_or_replaced_both_are_there(rows: Rows, source: SourceDouble) -> None:
    batch = await rows.batch(1, "aaa", lane=IOS)
    await give(rows, batch, Receipt(0, NOW, "https://push.example.com/m/1"))
    whom = Selection(source="users", reached_by="c1")
    found = ReachedAudience(rows.database, source, whom, [IOS], [], [IOS])  # type: ignore[arg-type]
    people = await everybody(found)
    keys = [key for key, *_ in people]
    source.gone = {keys[1].decode()}
    parts = [apart(address) for _, address, _ in await everybody(found)]
    assert parts == [(b"https://push.example.com/m/1", b"now-" + keys[0]), (b"", b""), (b"", b"now-" + keys[2])]


async def test_what_replaces_a_message_needs_to_know_its_reader(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "aa", lane=BOT, keys=[b"b0", b"b1"])
    source.gone.add("b1")
    found = audience(rows, source)
    (part,) = await found.ranges(1)
    page = await found.page(part, 10, Wanted(language=True, variables=("name",)))
    assert page.languages == ["de", None]
    assert page.variables == [{"name": "b0"}, {}]


async def test_who_is_gone_or_elsewhere_now_is_there_without_an_address(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "aaa", keys=[b"k0", b"k1", b"b9"])
    source.gone.add("k1")
    assert await everybody(audience(rows, source)) == [(b"k0", b"now-k0", IOS), (b"k1", b"", IOS), (b"b9", b"", IOS)]


async def test_a_lane_that_is_gone_is_none(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "aa")
    found = audience(rows, source, lanes=[BOT])
    assert await found.count() == {NO_LANE: 2}
    assert [lane for *_, lane in await everybody(found)] == [NO_LANE, NO_LANE]


async def test_all_pages_together_are_everybody_once(rows: Rows, source: SourceDouble) -> None:
    for number in range(25):
        await rows.batch(number, "ara", task=None)
    found = audience(rows, source)
    people = await everybody(found, limit=1)
    assert len(people) == len({key for key, *_ in people}) == 50
    some = await found.find(["k3-0", "k24-2", "k3-1", "nobody"], PLAIN)
    assert sorted(some.keys) == [b"k24-2", b"k3-0"]


async def test_only_some_of_them(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "aaa", keys=[b"k0", b"k1", b"k2"])
    assert [key for key, *_ in await everybody(audience(rows, source, only=["k1"]))] == [b"k1"]


async def test_nobody(rows: Rows, source: SourceDouble) -> None:
    await rows.batch(1, "rr")
    found = audience(rows, source)
    assert (await found.count(), await found.ranges(3)) == ({}, [])
