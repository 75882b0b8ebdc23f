"""Receipts: by what a message is found again that a provider took, to edit or to delete it; and who has moved.

A row for each batch that has any; batches of providers that give none have no row. Rules: of each recipient the first
receipt stands, however often a batch is recorded; who moved has the new address in the registry only while it still
has the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Receipt, merge_receipts
from stentor.recording.contract import Settlement
from stentor.store.database import SQLITE
from stentor.store.tables import installations, receipts

_DECODER = msgspec.msgpack.Decoder(list[Receipt])
_KNOWN = select(receipts.c.batch_id, receipts.c.receipts).where(
    receipts.c.batch_id.in_(bindparam("ids", expanding=True))
)
_MOVE = (
    update(installations)
    .where(installations.c.id == bindparam("of"), installations.c.address == bindparam("before"))
    .values(address=bindparam("after"))
)


async def write_receipts(connection: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    """Keep those of settlements whose batches the caller has locked, within its transaction."""
    told = [each for each in settlements if each.account is not None and each.account.receipts]
    if not told:
        return
    known = await _known(connection, {settlement.lease.id for settlement in told})
    rows: dict[str, dict[str, object]] = {}
    moved: list[Mapping[str, str]] = []
    for settlement in told:
        assert settlement.account is not None
        lease = settlement.lease
        before = known.get(lease.id, ())
        known[lease.id] = merge_receipts(before, settlement.account.receipts)
        if len(known[lease.id]) == len(before):
            continue
        moved += _moves(settlement)
        encoded = msgspec.msgpack.encode(known[lease.id])
        rows[lease.id] = {"batch_id": lease.id, "campaign_id": lease.campaign_id, "receipts": encoded}
    if rows:
        dialect = sqlite if connection.dialect.name == SQLITE else postgresql
        insert = dialect.insert(receipts)
        replace = insert.on_conflict_do_update(index_elements=["batch_id"], set_={"receipts": insert.excluded.receipts})
        await connection.execute(replace, list(rows.values()))
    if moved:
        await connection.execute(_MOVE, moved)


def decode_receipts(encoded: bytes) -> list[Receipt]:
    """Those of a row."""
    return _DECODER.decode(encoded)


async def _known(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, tuple[Receipt, ...]]:
    rows = await connection.execute(_KNOWN, {"ids": sorted(ids)})
    return {row.batch_id: tuple(_DECODER.decode(row.receipts)) for row in rows}


def _moves(settlement: Settlement) -> Iterable[Mapping[str, str]]:
    who, account = settlement.batch, settlement.account
    if who is None or account is None:
        return
    for receipt in account.receipts:
        if receipt.moved_to:
            yield {
                "of": who.recipients[receipt.position].decode(),
                "before": who.addresses[receipt.position].decode(errors="replace"),
                "after": receipt.moved_to,
            }
