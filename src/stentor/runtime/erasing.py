"""Removes a person: everything in the store that holds an installation's id or its address.

What stays is a placeholder in its place, another one in each batch, so that all sums stay right and nobody can tell
whose place it was. Rules: first the planner is kept from reading it again, and what a planner has read is waited for;
then each batch is changed in one transaction, with all that is said of it elsewhere; a batch that a sender has just now
is waited for, since nobody knows whom it has sent to. Whoever is not sent to yet ends as *cancelled*, or as *ambiguous*
if a sender that died may have sent to it. The registry's row goes last, so that whoever is interrupted begins again.

Batches that wait in NATS cannot be changed there: they are waited for until they are done.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Double,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor import channels
from stentor.account import Account, decode_waiting, ends, merge, unknown
from stentor.audience.contract import Condition, Selection
from stentor.audience.segments.text import read
from stentor.audience.segments.tree import replaced
from stentor.audience.segments.written import written
from stentor.batch import decode_batch, encode_batch
from stentor.config import REGISTRY
from stentor.errors import BatchTooNew, BatchUnreadable
from stentor.outcome import Outcome
from stentor.planning.care.look import bounds
from stentor.planning.planner import Step
from stentor.queue.contract import PLAN, Lease
from stentor.recording.contract import Known, Settlement
from stentor.recording.receipts import decode_receipts
from stentor.recording.writing import write
from stentor.runtime.resources import Resources
from stentor.sending.settling import inherit
from stentor.states import CampaignState
from stentor.store import exclusions, opt_outs, segments
from stentor.store.database import SQLITE
from stentor.store.letters import OF_OUTCOMES
from stentor.store.tables import (
    WAVES,
    actions,
    batches,
    campaigns,
    chains,
    dead_letters,
    failures,
    installations,
    payloads,
    receipts,
    replies,
    tasks,
)

PAGE = 200
"""Batches, or campaigns, that one query looks through."""
LOOK = 0.25
"""Seconds between two looks whether what is waited for is done."""
ERASED = "Erased"
"""Why an address counts as dead while its installation is being erased."""
PLACEHOLDER = "erased"
"""What the log of who did what has in the place of its id."""
AGAIN = "erase it again once that is over"

_KEYS = msgspec.msgpack.Decoder(list[bytes])
_STEP = msgspec.msgpack.Decoder(Step)


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is."""

    batches: int
    """Looked through."""
    of: int
    found: int
    """Batches that held the installation."""
    waiting: int
    """Of these, those that are waited for."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed."""

    registered: bool
    """Whether it was in the registry."""
    places: int
    """Its places in campaigns, which have a placeholder now."""
    cancelled: int
    """Those of them that were not sent to yet, and won't be."""
    campaigns: list[str]
    """The ids of these campaigns."""
    left: list[str]
    """What could not be removed yet, and why; empty: all is gone. Then the registry still has it, as dead."""


@dataclass(slots=True)
class _Work:
    """What was done so far."""

    key: bytes
    places: int = 0
    cancelled: int = 0
    campaigns: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)


class Eraser:
    """Erases installations, one after the other."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._backend = resources.backend
        self._clock = resources.clock
        self._key_columns = {name: each.columns.id for name, each in resources.config.audiences.items()}
        given: ColumnElement[float] = bindparam("now", type_=Double)
        servers: ColumnElement[float] = literal_column("extract(epoch from now())::double precision", Double)
        now = given if resources.database.dialect == SQLITE else servers  # whose clock ends a lease: see `queue.sql`
        self._task = (
            select(tasks.c.lease, tasks.c.deliveries, (tasks.c.ready_at > now).label("later"), payloads.c.payload)
            .join_from(tasks, payloads)
            .where(tasks.c.id == bindparam("task"))
            .with_for_update(of=tasks)
        )
        self._fence = (
            update(tasks)
            .where(tasks.c.lane == PLAN, tasks.c.lease.is_not(None), tasks.c.ready_at <= now)
            .values(lease=None)
        )

    async def erase(
        self, installation_id: str, *, on_progress: Callable[[Erasing], None] | None = None, patience: float = 60.0
    ) -> Erased:
        """Remove everything that holds this id or the address registered under it, in all campaigns.

        It may be interrupted at any time; erasing again goes on. Campaigns' messages, keys of `send --once`, logs,
        backups, your own database and the providers are yours to look after (docs/installations.md).

        Args:
            on_progress: told how far it is.
            patience: seconds for which batches are waited for that a sender has just now, or that wait in NATS.

        Raises:
            StoreUnavailable: erase it again. QueueUnavailable: NATS cannot be reached.
        """
        work = _Work(installation_id.encode())
        until = time.monotonic() + patience
        registered = await self._hide(installation_id)
        await self._wait_for_planners(work, until)
        held = await self._search(work, on_progress)
        seen = len(held)
        while held and time.monotonic() < until:
            await asyncio.sleep(LOOK)
            held = [each for each in held if not await self._erase_from(each, work)]
            if on_progress is not None:
                on_progress(Erasing(batches=seen, of=seen, found=seen, waiting=len(held)))
        blocked = "waits in NATS" if self._apart else "is at a sender, or was made by a newer Stentor,"
        work.left += [f"batch {each} {blocked} and cannot be changed there; {AGAIN}" for each in held]
        await self._erase_selections(installation_id, work)
        await self._erase_segments(installation_id)
        await self._look_at_bounds(installation_id, work)
        if not work.left:
            await self._forget(installation_id)
        if work.cancelled:
            await self._backend.bell.ring()
        return Erased(
            registered=registered,
            places=work.places,
            cancelled=work.cancelled,
            campaigns=sorted(work.campaigns),
            left=work.left,
        )

    @property
    def _apart(self) -> bool:
        """Whether the queue isn't in the store."""
        return self._backend.outbox is not None

    # -- the registry ----------------------------------------------------------------------------------------------

    async def _hide(self, installation_id: str) -> bool:
        """Have no planner read it any more. Returns: whether the registry has it."""
        row = installations.c.id == installation_id
        hide = update(installations).where(row).values(dead_at=self._clock(), dead_reason=ERASED)

        async def change(connection: AsyncConnection) -> bool:
            return bool((await connection.execute(hide)).rowcount)

        return await self._database.write(change)

    async def _forget(self, installation_id: str) -> None:
        """Take it out of the registry, of exclusion lists, of the log of who did what, and of answers that are kept for
        who asks again. What it said no to stays, and nobody can tell who said it."""
        gone = delete(installations).where(installations.c.id == installation_id)
        nameless = update(actions).where(actions.c.object == installation_id).values(object=PLACEHOLDER)
        told = msgspec.json.encode(installation_id)  # with its quotes, so that key 7 isn't looked for in every 17
        kept = delete(replies).where(self._within(replies.c.body, told) > 0)

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(nameless)
            await connection.execute(kept)
            await opt_outs.erase(connection, installation_id)
            await exclusions.erase(connection, installation_id)
            await connection.execute(gone)

        await self._database.write(change)

    async def _wait_for_planners(self, work: _Work, until: float) -> None:
        """What a planner has read by now, it has put as batches, or never will."""
        if self._apart:
            waves = exists().where(chains.c.campaign_id == campaigns.c.id, chains.c.chain.startswith(WAVES))
            of_audience = and_(
                chains.c.campaign_id == campaigns.c.id, ~chains.c.chain.startswith(WAVES), ~chains.c.done
            )
            reads = or_(exists().where(of_audience), ~waves)
            running = and_(campaigns.c.state == CampaignState.RUNNING.value, ~campaigns.c.planned, reads)
            for row in await self._database.rows(select(campaigns.c.id).where(running)):
                work.left.append(f"campaign {row.id} is still reading its audience; {AGAIN}")
            return

        async def planning(connection: AsyncConnection) -> set[str]:
            await connection.execute(self._fence, {"now": self._clock()} if self._is_sqlite else {})
            held = select(tasks.c.lease).where(tasks.c.lane == PLAN, tasks.c.lease.is_not(None))
            return {row.lease for row in await connection.execute(held)}

        before = await self._database.write(planning)
        while still := before.intersection(await self._database.write(planning)):
            if time.monotonic() > until:
                work.left.append(f"{len(still)} planners may have read it just now; {AGAIN}")
                return
            await asyncio.sleep(LOOK)

    @property
    def _is_sqlite(self) -> bool:
        return self._database.dialect == SQLITE

    def _within(self, column: Any, needle: bytes) -> Any:
        """Where some bytes are in a column; 0 where they aren't."""
        place = func.instr if self._is_sqlite else func.pg_catalog.position
        return place(column, needle)

    # -- batches ---------------------------------------------------------------------------------------------------

    async def _search(self, work: _Work, on_progress: Callable[[Erasing], None] | None) -> list[str]:
        """Erase it from all batches. Returns: those that must be waited for."""
        total = int((await self._database.rows(select(func.count()).select_from(batches)))[0][0])
        needle = msgspec.msgpack.encode(work.key)  # with its length, so that key 7 isn't looked for in every 17
        holds = (self._within(batches.c.recipients, needle) > 0).label("holds")
        query = select(batches.c.id, holds).order_by(batches.c.id).limit(PAGE)
        after, looked, found = "", 0, 0
        held: list[str] = []
        while rows := await self._database.rows(query.where(batches.c.id > after)):
            for row in rows:
                if row.holds:
                    found += 1
                    if not await self._erase_from(row.id, work):
                        held.append(row.id)
            after, looked = rows[-1].id, looked + len(rows)
            if on_progress is not None:
                on_progress(Erasing(batches=looked, of=max(total, looked), found=found, waiting=len(held)))
        return held

    async def _erase_from(self, batch_id: str, work: _Work) -> bool:
        """Put a placeholder in its place in a batch, and in all that is said of that. Returns: whether it could be."""
        if self._apart and await self._is_on_its_way(batch_id):
            return False
        done = await self._database.write(lambda connection: self._replace(connection, batch_id, work.key))
        if done is None:
            return False
        work.places += done.places
        work.cancelled += done.cancelled
        if done.places:
            work.campaigns.add(batch_id.partition("/")[0])
        return True

    async def _is_on_its_way(self, batch_id: str) -> bool:
        """Whether the queue or the recorders may still have a batch; raises QueueUnavailable."""
        assert self._backend.outbox is not None
        pending = select(batches.c.pending).where(batches.c.id == batch_id, batches.c.wave.is_(None))
        if any(row.pending for row in await self._database.rows(pending)):
            return True
        campaign_id = batch_id.partition("/")[0]
        queued = await self._backend.queue.queued(campaign_id)
        return batch_id in queued or batch_id in await self._backend.outbox.tasks(campaign_id)

    async def _replace(self, connection: AsyncConnection, batch_id: str, key: bytes) -> _Replaced | None:
        """None where a sender has it, or this Stentor is too old to read it."""
        given = {"task": batch_id, **({"now": self._clock()} if self._is_sqlite else {})}
        task = (await connection.execute(self._task, given)).first()
        if task is not None and task.lease is not None and task.later:
            return None
        row = (await connection.execute(select(batches).where(batches.c.id == batch_id).with_for_update())).first()
        keys = [] if row is None else _KEYS.decode(row.recipients)
        places = [at for at, each in enumerate(keys) if each == key]
        if row is None or not places:
            return _Replaced()
        name = f"erased-{secrets.token_hex(8)}"
        for number, at in enumerate(places):
            keys[at] = (f"{name}-{number}" if number else name).encode()
        try:
            payload = b"" if task is None else _anonymous(task.payload, keys, places)
        except BatchTooNew:
            return None
        account = _ended(row, task, places, self._clock())
        settlement = Settlement(lease=_nobodys(row), batch=None, account=account)
        await write(connection, [settlement], self._clock())
        first, last = bounds(keys)
        anew = {"recipients": msgspec.msgpack.encode(keys), "first_key": first, "last_key": last}
        await connection.execute(update(batches).where(batches.c.id == batch_id).values(anew))
        for at in places:
            explained = and_(failures.c.batch_id == batch_id, failures.c.position == at)
            nobody = update(failures).where(explained).values(installation=keys[at].decode(), detail="")
            await connection.execute(nobody)
        await _erase_receipts(connection, batch_id, places)
        if task is not None:
            await _change_task(connection, batch_id, task, payload)
        letters = dead_letters.c.id.in_([batch_id, batch_id + OF_OUTCOMES])
        await connection.execute(update(dead_letters).where(letters).values(payload=b""))
        return _Replaced(places=len(places), cancelled=account.outcomes.count(Outcome.CANCELLED))

    # -- campaigns -------------------------------------------------------------------------------------------------

    async def _erase_selections(self, installation_id: str, work: _Work) -> None:
        """From what campaigns say of whom they are for."""
        query = select(campaigns.c.id, campaigns.c.audience).order_by(campaigns.c.id).limit(PAGE)
        after = ""
        while rows := await self._database.rows(query.where(campaigns.c.id > after)):
            for row in rows:
                selection = msgspec.json.decode(row.audience, type=Selection)
                if self._without(selection, installation_id) != selection:
                    await self._database.write(partial(self._change_selection, row.id, installation_id))
                    work.campaigns.add(row.id)
            after = rows[-1].id

    async def _erase_segments(self, installation_id: str) -> None:
        """From the segments that people saved, wherever a key is compared with its id."""
        after: str | None = None
        while found := await self._database.ask(partial(segments.page, after=after, limit=PAGE)):
            for each in found:
                tree = read(each.segment)
                for column in {"id", *self._key_columns.values()}:
                    tree = replaced(tree, column, installation_id, f"erased-{secrets.token_hex(8)}")
                if (anew := written(tree)) != each.segment:
                    change = partial(segments.save, name=each.name, segment=anew, now=self._clock())
                    await self._database.write(change)
            after = found[-1].name

    async def _change_selection(self, campaign_id: str, installation_id: str, connection: AsyncConnection) -> None:
        mine = campaigns.c.id == campaign_id
        found = (await connection.execute(select(campaigns.c.audience).where(mine).with_for_update())).scalar()
        if found is not None:
            anew = self._without(msgspec.json.decode(bytes(found), type=Selection), installation_id)
            await connection.execute(update(campaigns).where(mine).values(audience=msgspec.json.encode(anew)))

    def _without(self, selection: Selection, installation_id: str) -> Selection:
        """A selection that names a placeholder in its place."""
        placeholder = f"erased-{secrets.token_hex(8)}"

        def named(texts: list[str]) -> list[str]:
            return [placeholder if each == installation_id else each for each in texts]

        filters: dict[str, list[str] | Condition] = dict(selection.filters)
        column = "id" if selection.source == REGISTRY else self._key_columns.get(selection.source)
        if column is not None and (wanted := filters.get(column)) is not None:
            filters[column] = (
                Condition(values=named(wanted.values), prefixes=wanted.prefixes, none_of=named(wanted.none_of))
                if isinstance(wanted, Condition)
                else named(wanted)
            )
        segment = selection.segment
        if column is not None and segment is not None:
            segment = written(replaced(read(segment), column, installation_id, placeholder))
        return msgspec.structs.replace(
            selection,
            filters=filters,
            segment=segment,
            only=None if selection.only is None else named(selection.only),
            within=None if selection.within is None else self._without(selection.within, installation_id),
        )

    async def _look_at_bounds(self, installation_id: str, work: _Work) -> None:
        """Where a range that is yet to be read begins after it or ends at it, its id stays until that has been read."""
        steps = select(chains.c.campaign_id, chains.c.next).where(chains.c.next.is_not(None))
        queued = select(tasks.c.campaign_id, payloads.c.payload.label("next")).join_from(tasks, payloads)
        found: set[str] = set()
        for query in (steps, queued.where(tasks.c.lane == PLAN)):
            for row in await self._database.rows(query):
                part = _STEP.decode(row.next).part
                bounds = () if part is None else (part.after, part.upto)
                if any(each is not None and each.partition(":")[2] == installation_id for each in bounds):
                    found.add(row.campaign_id)
        for campaign_id in sorted(found):
            work.left.append(
                f"campaign {campaign_id} has yet to read a part of its audience that begins or ends at it; {AGAIN}, or"
                " once the campaign was pruned"
            )


@dataclass(frozen=True, slots=True)
class _Replaced:
    """What was done to a batch."""

    places: int = 0
    cancelled: int = 0


def _ended(row: Row[Any], task: Row[Any] | None, places: Sequence[int], now: float) -> Account:
    """How those at some places end who are pending, as it would be if the campaign had been cancelled."""
    size = len(_KEYS.decode(row.recipients))
    stored = Account(outcomes=row.outcomes or bytes(size), waiting=decode_waiting(row.waiting))
    taken = 0 if row.wave is not None else 2 if task is None else task.deliveries + 1
    lease = _nobodys(row, deliveries=taken)
    known = inherit(
        Known(account=stored, beside=unknown(size)), lease, now, on_record=channels.is_on_record(row.lane)
    ).account
    cancelled = {at: Outcome.CANCELLED for at in places if known.outcomes[at] == Outcome.PENDING}
    after = merge(known, ends(size, (), cancelled))
    pending = {at: Outcome(after.outcomes[at]) for at in places if stored.outcomes[at] == Outcome.PENDING}
    return ends(size, [each for each in after.failures if each.position in pending], pending)


def _nobodys(row: Row[Any], deliveries: int = 0) -> Lease:
    return Lease(
        id=row.id, lane=row.lane, campaign_id=row.campaign_id, payload=b"", deliveries=deliveries, token="", until=0.0
    )


async def _erase_receipts(connection: AsyncConnection, batch_id: str, places: Collection[int]) -> None:
    of_batch = receipts.c.batch_id == batch_id
    given = (await connection.execute(select(receipts.c.receipts).where(of_batch))).scalar()
    if given is None:
        return
    kept = [each for each in decode_receipts(given) if each.position not in places]
    if kept:
        await connection.execute(update(receipts).where(of_batch).values(receipts=msgspec.msgpack.encode(kept)))
    else:
        await connection.execute(delete(receipts).where(of_batch))


async def _change_task(connection: AsyncConnection, batch_id: str, task: Row[Any], payload: bytes) -> None:
    """End a batch of which nobody is left to be sent to, or change it; its lease has ended, if it had one."""
    mine = tasks.c.id == batch_id
    pending = (await connection.execute(select(batches.c.pending).where(batches.c.id == batch_id))).scalar()
    if not pending:
        await connection.execute(delete(tasks).where(mine))
        return
    if task.lease is not None:
        await connection.execute(update(tasks).where(mine).values(lease=None))
    await connection.execute(update(payloads).where(payloads.c.id == batch_id).values(payload=payload))


def _anonymous(payload: bytes, keys: list[bytes], places: Collection[int]) -> bytes:
    """A queued batch without some of its recipients. One that nobody can read is emptied: it is put aside either way.

    Raises: BatchTooNew: a newer Stentor can read it.
    """
    try:
        batch = decode_batch(payload)
    except BatchTooNew:
        raise
    except BatchUnreadable:
        return b""
    addresses, variables = list(batch.addresses), batch.variables and list(batch.variables)
    for at in places:
        addresses[at] = b""
        if variables:
            variables[at] = {}
    return encode_batch(msgspec.structs.replace(batch, recipients=keys, addresses=addresses, variables=variables))
