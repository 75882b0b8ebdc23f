"""Receipts: the first one of each recipient is kept, on every way to the store, and who moved is found at the new
address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from stentor.account import Account, Failure, Receipt
from stentor.outcome import Outcome
from stentor.queue.contract import Lease
from stentor.recording.receipts import decode_receipts
from stentor.recording.tidings import encode_tidings, settlement_of
from stentor.store.tables import installations, receipts
from tests.integration.queue.rig import Rig
from tests.integration.recording.rows import NOW, Rows, fresh_rows
from tests.integration.recording.test_relay import go_on, put, record, rig, settlement
from tests.integration.recording.test_writing import batch_of, settled, tell

__all__ = ["rig"]  # a fixture

FIRST, SECOND = Receipt(0, NOW, "42:7"), Receipt(2, NOW + 1, "43:8")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'stentor.db'}"


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    async with fresh_rows(database_url) as rows:
        yield rows


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'stentor.db'}"
    url: str = request.getfixturevalue("postgres")
    return url


@pytest.fixture
async def both(either: str) -> AsyncIterator[Rows]:
    """On either database."""
    async with fresh_rows(either) as rows:
        yield rows


async def kept(rows: Rows, name: str) -> list[Receipt]:
    found = await rows.database.rows(select(receipts.c.receipts).where(receipts.c.batch_id == name))
    return decode_receipts(found[0].receipts) if found else []


async def test_the_first_of_each_is_kept(both: Rows) -> None:
    await both.campaign()
    name = await both.batch(1, "ppppp", task=None)
    await tell(both.database, [settled(name, [0, 0, 1, 0, 0], receipts=(SECOND,))])
    later = Receipt(2, NOW + 2, "43:9")
    await tell(
        both.database,
        [settled(name, [1, 0, 1, 0, 0], receipts=(FIRST, later)), settled(name, [1, 0, 1, 0, 0], receipts=(later,))],
    )
    assert await kept(both, name) == [FIRST, SECOND]


async def test_batches_without_any_have_no_row(both: Rows) -> None:
    await both.campaign()
    name = await both.batch(1, "ppppp", task=None)
    await tell(both.database, [settled(name, [1] * 5)])
    assert await kept(both, name) == []
    await tell(both.database, [settled("c1/apns/ios/0.0.7.99", [1] * 5, receipts=(FIRST,))])  # of a deleted campaign
    assert await both.database.rows(select(receipts.c.batch_id)) == []


async def test_who_moved_has_the_new_address_while_it_has_the_old_one(both: Rows) -> None:
    await both.campaign()
    name = await both.batch(1, "ppppp", task=None)
    there = {"channel": "telegram", "app": "bot"}
    await both.insert(
        installations,
        {"id": "k1-0", "address": "a1-0", **there},
        {"id": "k1-2", "address": "changed meanwhile", **there},
        {"id": "k1-3", "address": "a1-3", **there},
    )
    moved = tuple(Receipt(position, NOW, "1:1", moved_to="-100") for position in (0, 2))
    await tell(both.database, [settled(name, [1, 1, 1, 1, 1], receipts=moved)])
    found = await both.database.rows(select(installations.c.id, installations.c.address))
    assert {row.id: row.address for row in found} == {
        "k1-0": "-100",
        "k1-2": "changed meanwhile",
        "k1-3": "a1-3",
    }


def test_they_go_with_the_part_of_a_message_that_their_recipients_are_in() -> None:
    size = 900
    told = Account(
        outcomes=bytes([Outcome.REJECTED] * size),
        failures=tuple(
            Failure(position=at, outcome=Outcome.REJECTED, reason="Refused", detail="x" * 3000) for at in range(size)
        ),
        receipts=(Receipt(0, NOW, "1"), Receipt(size - 1, NOW, "2", moved_to="-100")),
    )
    messages = encode_tidings(told, batch_of("c1/apns/ios/0.0.7.1", size), NOW)
    assert len(messages) > 1
    found = [settlement_of(lease_of(message)) for message in messages]
    receipts_of = [each.account.receipts if each.account else () for each in found]
    assert [each for each in receipts_of if each] == [(told.receipts[0],), (told.receipts[1],)]
    last = found[receipts_of.index((told.receipts[1],))]
    assert last.batch is not None
    assert last.batch.addresses[size - 1] == b"a1-%d" % (size - 1)


async def test_they_come_with_a_note_where_their_sender_died(rig: Rig, rows: Rows) -> None:
    """A checkpoint is all that is left of it, and whoever takes the batch again tells of them."""
    await rows.campaign()
    name = await put(rig, rows)
    lease = await rig.take_one()
    await rig.relay.record(settlement(lease, "app", receipts=(FIRST,)))
    again = await rig.take_one()
    assert (await rig.relay.known([again]))[again.id].account.receipts == (FIRST,)
    await go_on(rig.relay, again, "aaa", receipts=(SECOND,))
    await record(rig, rows)
    assert await kept(rows, name) == [FIRST, SECOND]


def lease_of(payload: bytes) -> Lease:
    name = "c1/apns/ios/0.0.7.1"
    return Lease(id=name, lane="apns/ios", campaign_id="c1", payload=payload, deliveries=1, token="t", until=0.0)
