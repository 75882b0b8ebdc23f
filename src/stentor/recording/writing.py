"""Writing down what became of batches, many at once, in a transaction of the caller's.

Settlements come as they come: twice, the older after the newer, from several recorders at once. Rules: a recipient's
first terminal outcome is its last; a failure is recorded only with the outcome that stands, so the two always agree;
what isn't news isn't written; text of any kind can be written (`store.text`). Rows are locked in the order of their
ids, so that recorders which share batches wait for each other instead of deadlocking.

However many batches: on PostgreSQL one SELECT, at most one UPDATE of the batches, and at most one statement for the
failures and the dead addresses among them (`docs/store.md`). Receipts cost two more where there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ARRAY, Double, Executable, Text, any_, bindparam, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Account, Failure, decode_waiting, encode_waiting, merge
from stentor.outcome import Outcome
from stentor.recording.contract import Settlement
from stentor.recording.hygiene import mark_dead, marking
from stentor.recording.receipts import write_receipts
from stentor.recording.tally import Recorded, news
from stentor.store.bulk import Bulk, Fields, bulk, columns, insert_ignoring, unnested
from stentor.store.database import POSTGRESQL, SQLITE
from stentor.store.tables import batches, failures
from stentor.store.text import StorableText

COLUMNS = {
    Outcome.PENDING: "pending",
    Outcome.ACCEPTED: "accepted",
    Outcome.REJECTED: "rejected",
    Outcome.EXPIRED: "expired",
    Outcome.CANCELLED: "cancelled",
    Outcome.AMBIGUOUS: "ambiguous",
}
"""The column of `batches` that counts each outcome."""

_FAILURE = tuple(column.name for column in failures.c)

_AMONG_FEW = batches.c.id.in_(bindparam("ids", expanding=True))
_AMONG_LIST = batches.c.id == any_(bindparam("ids", type_=ARRAY(Text, dimensions=1)))
"""The same on PostgreSQL: one statement, prepared once, for any number."""
_LOCK = select(batches.c.id, batches.c.size, batches.c.outcomes, batches.c.waiting).order_by(batches.c.id)
_RECIPIENTS = select(batches.c.id, batches.c.recipients)
_FIND = {
    SQLITE: (_LOCK.where(_AMONG_FEW), _RECIPIENTS.where(_AMONG_FEW)),
    POSTGRESQL: (_LOCK.where(_AMONG_LIST).with_for_update(), _RECIPIENTS.where(_AMONG_LIST)),
}
"""How rows are locked and recipients are looked up; SQLite has a single writer, who needs no locks."""


def _update(news: Fields) -> Executable:
    values = {name: field for name, field in news.items() if name != "batch"}
    return update(batches).where(batches.c.id == news["batch"]).values(values)


_UPDATE: Bulk = bulk(
    _update,
    {
        "batch": batches.c.id.type,
        **{name: batches.c[name].type for name in ("outcomes", "waiting", "recorded_at", *COLUMNS.values())},
    },
)
_INSERT = insert_ignoring(failures, *_FAILURE)


def _insert_and_mark() -> Executable:
    """Failures, and the dead addresses among them, in one statement of PostgreSQL's."""
    fields = {column.name: column.type for column in failures.c} | {"address": StorableText(), "since": Double()}
    lost = select(*unnested(fields).c).cte("lost")
    explained = postgresql.insert(failures).from_select(_FAILURE, select(*(lost.c[name] for name in _FAILURE)))
    return marking(lost).add_cte(explained.on_conflict_do_nothing().cte("explained"))


_INSERT_AND_MARK = _insert_and_mark()


@dataclass(slots=True)
class _Row:
    """A batch's row while its settlements are merged into it. The account is without what the other tables have."""

    account: Account
    changed: bool = False


async def write(connection: AsyncConnection, settlements: Sequence[Settlement], now: float) -> Recorded:
    """Merge settlements into the rows of their batches, in the order given, within the caller's transaction.

    A batch that the store doesn't know, because its campaign was deleted, is left out; so is a settlement of another
    number of recipients than the batch has.

    Args:
        settlements: each with the failures of all whom it says to have failed. Of its `batch` only the recipients and
            addresses at the positions of these are read; where it is None, the recipients are looked up.
        now: epoch seconds.

    Returns:
        Whose outcomes are new with them.
    """
    rows = await _lock_rows(connection, {settlement.lease.id for settlement in settlements})
    before = {batch: row.account.outcomes for batch, row in rows.items()}
    fitting: list[Settlement] = []
    found: list[tuple[Settlement, tuple[Failure, ...]]] = []
    for settlement in settlements:
        row, account = rows.get(settlement.lease.id), settlement.account
        if row is None or account is None or len(account) != len(row.account):
            continue
        fitting.append(settlement)
        if explained := _merge(row, account):
            found.append((settlement, explained))
    await _UPDATE.execute(connection, [_values(batch, row, now) for batch, row in rows.items() if row.changed])
    await write_receipts(connection, fitting)
    if found:
        planned = await _recipients(connection, {each.lease.id for each, _ in found if each.batch is None})
        await _write_failures(connection, _failures(found, planned, now))
    lanes = {settlement.lease.id: settlement.lease.lane for settlement in settlements}
    return news((lanes[batch], before[batch], row.account.outcomes) for batch, row in rows.items())


async def settled(connection: AsyncConnection, ids: Iterable[str]) -> list[str]:
    """Those of some batches of which nobody is pending, in order."""
    _, find = _FIND[connection.dialect.name]
    rows = await connection.execute(find.where(batches.c.pending == 0), {"ids": sorted(ids)})
    return sorted(row.id for row in rows)


async def _lock_rows(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, _Row]:
    lock, _ = _FIND[connection.dialect.name]
    rows = await connection.execute(lock, {"ids": sorted(ids)})
    return {
        row.id: _Row(Account(outcomes=row.outcomes or bytes(row.size), waiting=decode_waiting(row.waiting)))
        for row in rows
    }


async def _recipients(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, list[bytes]]:
    """As they were planned: of batches that cannot be read any more, or needn't be."""
    wanted = sorted(ids)
    if not wanted:
        return {}
    _, find = _FIND[connection.dialect.name]
    rows = await connection.execute(find, {"ids": wanted})
    return {row.id: msgspec.msgpack.decode(row.recipients, type=list[bytes]) for row in rows}


async def _write_failures(connection: AsyncConnection, lost: Sequence[Mapping[str, Any]]) -> None:
    if connection.dialect.name != SQLITE:
        await connection.execute(_INSERT_AND_MARK, columns(lost))
        return
    await _INSERT.execute(connection, [{name: row[name] for name in _FAILURE} for row in lost])
    if dead := [row for row in lost if row["dead"]]:
        await mark_dead(connection, dead)


def _merge(row: _Row, news: Account) -> tuple[Failure, ...]:
    """Put what is new into the row. Returns the failures that explain an outcome which stands: an older one later, or
    the same again, finds its row there already, but may also bring what is lacking."""
    before = row.account
    merged = merge(before, news)
    row.changed |= merged.outcomes != before.outcomes or merged.waiting != before.waiting
    row.account = msgspec.structs.replace(merged, failures=(), receipts=())
    return merged.failures


def _failures(
    found: Iterable[tuple[Settlement, Iterable[Failure]]], planned: Mapping[str, Sequence[bytes]], now: float
) -> list[dict[str, Any]]:
    """As rows of the table, with `address` and `since`."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for settlement, explained in found:
        lease, batch = settlement.lease, settlement.batch
        known_at = now if settlement.at is None else settlement.at
        recipients = planned[lease.id] if batch is None else batch.recipients
        for failure in explained:
            row = {
                "batch_id": lease.id,
                "position": failure.position,
                "campaign_id": lease.campaign_id,
                "lane": lease.lane,
                "installation": recipients[failure.position].decode(errors="replace"),
                "outcome": int(failure.outcome),
                "reason": failure.reason,
                "status": failure.status,
                "detail": failure.detail,
                "dead": failure.dead,
                "tries": failure.tries,
                "at": now,
                "address": "" if batch is None else batch.addresses[failure.position].decode(errors="replace"),
                "since": known_at if failure.since is None else failure.since,
            }
            rows.setdefault((lease.id, failure.position), row)
    return list(rows.values())


def _values(batch: str, row: _Row, now: float) -> dict[str, Any]:
    outcomes = row.account.outcomes
    counts = {name: outcomes.count(outcome) for outcome, name in COLUMNS.items()}
    waiting = encode_waiting(row.account.waiting)
    return {"batch": batch, "outcomes": outcomes, "waiting": waiting, "recorded_at": now, **counts}
