"""The waves of a campaign: batches that were read at its start, and are held until their wave begins.

A wave is a chain of plan steps of its own, named by its moment. Each of its steps takes some of the batches that are
held for it, reads their recipients again by their keys, as addresses change within a day, and puts them into the queue.

Rules: whoever is held was read once and is in one batch, so nobody is in two waves, whatever their row says later; a
batch is held or queued, and one transaction makes it the other; a wave that gets batches after its end goes on. Whoever
cannot be sent to when the wave begins ends as rejected, with the reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import Boolean, bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Failure
from stentor.audience.contract import Page
from stentor.outcome import Outcome
from stentor.own_reasons import NOT_IN_AUDIENCE
from stentor.planning.division import Assigned, IndexOf, LeftOut, Wave
from stentor.planning.restoring import GONE_REASON, Lost, restore, settlement
from stentor.queue.contract import Task
from stentor.recording.contract import Settlement
from stentor.store.tables import WAVES, batches

Write = Callable[[AsyncConnection, Sequence[Settlement], float], Awaitable[object]]
"""Records how recipients end, within the transaction of the connection; `recording.writing.write` is one."""

LEFT = "it left the audience, or moved to another app, before its wave began"

_OF_WAVE = (
    batches.c.campaign_id == bindparam("campaign"),
    batches.c.wave == bindparam("at_wave"),
    batches.c.gated == bindparam("is_gated", type_=Boolean),
)
_HELD = (
    select(batches.c.id, batches.c.lane, batches.c.size, batches.c.edition, batches.c.outcomes, batches.c.recipients)
    .where(*_OF_WAVE, batches.c.lane.not_in(bindparam("deep", expanding=True)))
    .order_by(batches.c.id)
    .limit(bindparam("most"))
)
_IS_HELD = select(exists().where(*_OF_WAVE))
_BEGIN = (
    update(batches)
    .where(batches.c.id.in_(bindparam("ids", expanding=True)), batches.c.wave.is_not(None))
    .values(wave=None, expires_at=bindparam("until"))
)
_PUT_OFF = (
    update(batches)
    .where(batches.c.id.in_(bindparam("ids", expanding=True)))
    .values(wave=bindparam("until"), gated=False)
)
_RECIPIENTS = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What becomes of batches whose wave begins."""

    tasks: Sequence[Task] = ()
    settlements: Sequence[Settlement] = ()
    """How those end who cannot be sent to."""
    put_off: Mapping[str, Wave] = field(default_factory=dict)
    """Which are held until a later wave, by id."""


def chain_of(wave: Wave) -> str:
    """The name of a wave's chain."""
    moment = repr(wave.at).replace(".", "_")  # to the last digit: batches are found by the very number
    return f"{WAVES}g{moment}" if wave.gated else f"{WAVES}{moment}"


async def held(
    connection: AsyncConnection, campaign_id: str, wave: Wave, *, recipients: int, batch: int, deep: Collection[str]
) -> list[Lost]:
    """Some of the batches that are held for a wave: of so many recipients, or the first one.

    Args:
        batch: recipients that a batch has at most.
        deep: lanes that are left out.
    """
    most = max(1, recipients // max(1, batch)) * 8  # a page's waves are small batches
    at_wave = _bound(campaign_id, wave)
    rows = await connection.execute(_HELD, {**at_wave, "deep": sorted(deep), "most": most})
    found: list[Lost] = []
    for row in rows:
        if found and recipients < row.size:
            break
        recipients -= row.size
        found.append(
            Lost(
                id=row.id,
                campaign_id=campaign_id,
                lane=row.lane,
                edition=row.edition or "",
                recipients=_RECIPIENTS.decode(row.recipients),
                outcomes=bytes(row.size) if row.outcomes is None else bytes(row.outcomes),
            )
        )
    return found


async def is_held(connection: AsyncConnection, campaign_id: str, wave: Wave) -> bool:
    """Whether a batch is held for a wave."""
    return bool(await connection.scalar(_IS_HELD, _bound(campaign_id, wave)))


def _bound(campaign_id: str, wave: Wave) -> dict[str, Any]:
    return {"campaign": campaign_id, "at_wave": wave.at, "is_gated": wave.gated}


async def release(connection: AsyncConnection, ids: Iterable[str], expires_at: float | None) -> None:
    """These are held no longer, and have a lifetime of their own, which ends at this moment (epoch seconds)."""
    await connection.execute(_BEGIN, {"ids": sorted(ids), "until": expires_at})


async def put_off(connection: AsyncConnection, until: Mapping[str, Wave]) -> None:
    """These batches are held until later waves, by id; they wait for no release any more."""
    for wave in sorted(set(until.values())):
        ids = sorted(each for each, at in until.items() if at == wave)
        await connection.execute(_PUT_OFF, {"ids": ids, "until": wave.at})


def begin(
    some: Sequence[Lost], found: Page, assigned: Assigned, *, expires_at: float, index_of: IndexOf | None = None
) -> Begun:
    """The tasks of batches whose wave begins. Pure.

    A batch of which somebody must wait longer is put off as a whole, to when all of it may be sent.

    Args:
        found: those of their recipients who are in the audience, in any order.
        assigned: of these, who gets nothing by a rule, and who must wait longer.
        expires_at: epoch seconds after which they are sent no more.
    """
    rows = {key: row for row, key in enumerate(found.keys)}
    tasks, settlements, put_off = [], [], {}
    for lost in some:
        later = [assigned.waves[rows[key]] for key in lost.recipients if key in rows] if assigned.waves else []
        if until := max((wave for wave in later if wave is not None), default=None):
            put_off[lost.id] = until
            continue
        left_out = assigned.left_out
        mine = [rows[key] for key in lost.recipients if key in rows and key not in left_out]
        restored = restore(lost, expires_at, _rows(found, mine), index_of)
        if restored.unsendable:
            failures = [
                _failure(position, left_out.get(lost.recipients[position]) or _why(reason, found, lost, position))
                for position, reason in restored.unsendable.items()
            ]
            settlements.append(settlement(lost, failures))
        if len(restored.unsendable) < len(lost.pending):
            tasks.append(restored.task)
    return Begun(tasks=tasks, settlements=settlements, put_off=put_off)


def _why(reason: str, found: Page, lost: Lost, position: int) -> LeftOut:
    if reason == GONE_REASON:
        return LeftOut(NOT_IN_AUDIENCE, LEFT)
    return LeftOut(reason, found.refused.get(lost.recipients[position], ""))


def _failure(position: int, why: LeftOut) -> Failure:
    return Failure(position=position, outcome=Outcome.REJECTED, reason=why.reason, detail=why.detail, tries=0)


def _rows(page: Page, rows: Sequence[int]) -> Page:
    """Some rows of a page."""
    return replace(
        page,
        keys=[page.keys[row] for row in rows],
        addresses=[page.addresses[row] for row in rows],
        lanes=page.lanes if isinstance(page.lanes, str) else [page.lanes[row] for row in rows],
        registered_at=None if page.registered_at is None else [page.registered_at[row] for row in rows],
        languages=None if page.languages is None else [page.languages[row] for row in rows],
        zones=None if page.zones is None else [page.zones[row] for row in rows],
        variables=None if page.variables is None else [page.variables[row] for row in rows],
    )
