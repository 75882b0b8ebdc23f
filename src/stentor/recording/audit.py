"""The proof that nobody was dropped: a campaign is recounted from its recipients and their outcomes themselves.

Every batch is read and compared with what is said about it elsewhere: its counts, its failures, the queue, what the
planner read. Rules: it is one snapshot, so it may be made while the campaign runs, and a queue that isn't in the store
is compared by what is sure whatever moves meanwhile (`losses`); batches are read a page at a time, and of the keys only
hashes are kept (in temporary files beyond some megabytes), so it needs no more memory for a larger audience.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any

import msgspec
from sqlalchemy import Row, Select, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.account import Waiting, decode_waiting
from stentor.counted import counted
from stentor.outcome import Outcome
from stentor.queue.contract import PLAN
from stentor.recording.losses import Losses
from stentor.recording.report import unread
from stentor.states import STOPPED, CampaignState
from stentor.store import campaigns
from stentor.store.campaigns import Campaign
from stentor.store.database import Database
from stentor.store.tables import batches, chains, tasks
from stentor.store.tables import failures as failed

PAGE = 32
"""Batches that are read at a time: about a megabyte of keys."""
OWED = frozenset({Outcome.REJECTED, Outcome.EXPIRED, Outcome.AMBIGUOUS})
"""The outcomes that owe an explanation: a row among the failures."""
PARTS = 64
SPOOL = 512 * 1024
"""Bytes of hashes a part keeps in memory."""
SUSPECTS = 1000
"""Keys that are looked at again at most, where hashes came twice."""

KEYS = msgspec.msgpack.Decoder(list[bytes])
"""Reads `stentor_batches.recipients`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that must hold."""

    name: str
    ok: bool
    detail: str
    """What was counted; where it doesn't hold, how often and an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a recount found."""

    campaign_id: str
    state: CampaignState
    checks: tuple[Check, ...]
    at: float
    """Epoch seconds of the snapshot."""

    @property
    def exact(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


async def audit(connection: AsyncConnection, campaign_id: str, now: float) -> Audit:
    """Recount a campaign whose queue is in the store, in one snapshot.

    Raises:
        UnknownCampaign: there is no such campaign.
    """
    recount = await _recount(connection, campaign_id, now)
    return replace(recount, checks=(*recount.checks, await _queue_check(connection, campaign_id)))


async def audit_apart(database: Database, losses: Losses, campaign_id: str, now: float) -> Audit:
    """Recount a campaign whose queue is elsewhere: the store in one snapshot, then the queue.

    A batch that is queued and has nobody pending is no error there: its outcomes may have been recorded a moment ago,
    and whoever takes it next sees that it is done.

    Raises:
        UnknownCampaign: there is no such campaign.
        StoreUnavailable: the store cannot be reached, or the queue (QueueUnavailable).
    """
    recount = await database.ask(lambda connection: _recount(connection, campaign_id, now))
    lost = [f"batch {name} has pending recipients and is lost" for name in await losses.find(campaign_id)]
    rule = "every batch with pending recipients is queued, or on its way to be recorded"
    return replace(recount, checks=(*recount.checks, _check("queue", rule, _Contradictions().extend(lost))))


async def _recount(connection: AsyncConnection, campaign_id: str, now: float) -> Audit:
    """All that the store alone tells."""
    campaign = await campaigns.get(connection, campaign_id)
    with ExitStack() as stack:
        recount = _Recount(_Hashes(stack))
        async for page in _pages(connection, campaign_id):
            recount.add(page, await _failures_of(connection, page))
        twice = await _twice(connection, campaign_id, recount.hashes.repeated())
    rows = (await connection.execute(select(func.count()).where(failed.c.campaign_id == campaign_id))).scalar_one()
    read = (
        await connection.execute(
            select(func.coalesce(func.sum(chains.c.read), 0)).where(chains.c.campaign_id == campaign_id)
        )
    ).scalar_one()
    checks = (
        *recount.checks(int(rows)),
        _check(
            "read",
            f"the planner read {int(read):,} and the batches hold {recount.recipients:,}",
            _Contradictions().extend([] if int(read) == recount.recipients else ["they differ"]),
        ),
        _check("once", "no installation is in the campaign twice", _Contradictions().extend(twice)),
        _state_check(campaign, recount.counted[Outcome.PENDING], int(read)),
    )
    return Audit(campaign_id=campaign_id, state=campaign.state, checks=checks, at=now)


@dataclass(slots=True)
class _Contradictions:
    """How often something doesn't hold, and the first example: a store that is quite wrong must not fill the memory."""

    count: int = 0
    example: str = ""

    def append(self, example: str) -> None:
        self.count += 1
        self.example = self.example or example

    def extend(self, examples: Iterable[str]) -> _Contradictions:
        for example in examples:
            self.append(example)
        return self


@dataclass(slots=True)
class _Recount:
    """What the batches themselves say, added up; and what contradicts it."""

    hashes: _Hashes
    batches: int = 0
    recipients: int = 0
    explained: int = 0
    counted: list[int] = field(default_factory=lambda: [0] * len(Outcome))
    wrong: defaultdict[str, _Contradictions] = field(default_factory=lambda: defaultdict(_Contradictions))

    def add(self, page: Sequence[Row[Any]], failures: Mapping[str, Mapping[int, Row[Any]]]) -> None:
        for row in page:
            self.batches += 1
            self.recipients += row.size
            try:
                keys = KEYS.decode(row.recipients)
                waiting = decode_waiting(row.waiting)
            except msgspec.DecodeError as error:
                self.wrong["columns"].append(f"batch {row.id} cannot be read: {error}")
                continue
            self.hashes.add(keys)
            self._compare(row, keys, waiting, failures.get(row.id, {}))

    def _compare(
        self, row: Row[Any], keys: Sequence[bytes], waiting: Iterable[Waiting], failures: Mapping[int, Row[Any]]
    ) -> None:
        outcomes = bytes(len(keys)) if row.outcomes is None else bytes(row.outcomes)
        if not len(keys) == len(outcomes) == row.size:
            self.wrong["columns"].append(
                f"batch {row.id} is said to have {counted(row.size, 'recipient')}, and has"
                f" {counted(len(keys), 'key')} and {counted(len(outcomes), 'outcome')}"
            )
            return
        found = [outcomes.count(outcome) for outcome in Outcome]
        if sum(found) != row.size:
            self.wrong["columns"].append(f"batch {row.id} has unknown outcomes")
        for outcome, many in zip(Outcome, found, strict=True):
            self.counted[outcome] += many
            said = row._mapping[outcome.name.lower()]
            if said != many:
                self.wrong["counts"].append(
                    f"batch {row.id} is said to have {said} {outcome.name.lower()}, and has {many}"
                )
        for waits in waiting:
            if not 0 <= waits.position < len(keys) or outcomes[waits.position] != Outcome.PENDING:
                self.wrong["waiting"].append(f"recipient {waits.position} of batch {row.id} waits, and isn't pending")
        self._compare_failures(row.id, keys, outcomes, failures)

    def _compare_failures(
        self, batch_id: str, keys: Sequence[bytes], outcomes: bytes, failures: Mapping[int, Row[Any]]
    ) -> None:
        wrong = self.wrong["failures"]
        for position, outcome in enumerate(outcomes):
            if outcome in OWED and position not in failures:
                wrong.append(f"recipient {position} of batch {batch_id} is {_word(outcome)}, and nothing says why")
        for position, row in failures.items():
            self.explained += 1
            if not 0 <= position < len(keys):
                wrong.append(
                    f"a failure is recorded for recipient {position} of batch {batch_id}, which has no such recipient"
                )
            elif row.outcome != outcomes[position]:
                wrong.append(
                    f"recipient {position} of batch {batch_id} is {_word(outcomes[position])},"
                    f" and its failure says {_word(row.outcome)}"
                )
            elif row.installation.encode() != keys[position]:
                wrong.append(f"the failure of recipient {position} of batch {batch_id} names another installation")

    def checks(self, failures: int) -> list[Check]:
        if failures != self.explained:
            self.wrong["failures"].append(f"{counted(failures - self.explained, 'failure')} of none of its batches")
        counts = ", ".join(f"{many:,} {_word(outcome)}" for outcome, many in enumerate(self.counted))
        recipients, explained = counted(self.recipients, "recipient"), counted(failures, "failure")
        told = {
            "columns": f"{recipients} in {counted(self.batches, 'batch', 'batches')}, each with one outcome",
            "counts": f"as counted from the outcomes: {counts}",
            "failures": f"{explained}, one for each recipient that was rejected, expired or is ambiguous",
            "waiting": "only pending recipients wait to be tried again",
        }
        return [_check(name, detail, self.wrong[name]) for name, detail in told.items()]


class _Hashes:
    """64-bit hashes of keys, in parts by their last bits: one part at a time is searched for repetitions."""

    def __init__(self, stack: ExitStack) -> None:
        files = [SpooledTemporaryFile(SPOOL) for _ in range(PARTS)]  # noqa: SIM115 - the stack closes them
        self._files = [stack.enter_context(file) for file in files]

    def add(self, keys: Iterable[bytes]) -> None:
        parts: list[list[int]] = [[] for _ in range(PARTS)]
        for value in map(hash, keys):
            parts[value % PARTS].append(value)
        for file, part in zip(self._files, parts, strict=True):
            file.write(array("q", part).tobytes())

    def repeated(self) -> frozenset[int]:
        """Some of the hashes that came more than once, at most SUSPECTS; empty if none did."""
        found: set[int] = set()
        for file in self._files:
            file.seek(0)
            values = array("q", file.read())
            if len(set(values)) < len(values):
                often = (value for value, times in Counter(values).items() if times > 1)
                found.update(islice(often, SUSPECTS - len(found)))
        return frozenset(found)


async def _pages(connection: AsyncConnection, campaign_id: str) -> AsyncIterator[Sequence[Row[Any]]]:
    """All batches of a campaign, in the order of their ids."""
    after = f"{campaign_id}/"  # by the ids alone: sorting what an index on `campaign_id` finds would carry all the keys
    query = select(batches).where(batches.c.id < f"{campaign_id}0").order_by(batches.c.id).limit(PAGE)
    while rows := (await connection.execute(query.where(batches.c.id > after))).all():
        yield rows
        after = rows[-1].id


async def _failures_of(connection: AsyncConnection, page: Sequence[Row[Any]]) -> dict[str, dict[int, Row[Any]]]:
    columns = [failed.c[name] for name in ("batch_id", "position", "outcome", "installation")]
    rows = await connection.execute(select(*columns).where(failed.c.batch_id.in_([row.id for row in page])))
    found: dict[str, dict[int, Row[Any]]] = defaultdict(dict)
    for row in rows:
        found[row.batch_id][row.position] = row
    return found


async def _twice(connection: AsyncConnection, campaign_id: str, suspects: frozenset[int]) -> list[str]:
    """What is wrong with the keys that have these hashes: a second look, as two keys may share a hash."""
    if not suspects:
        return []
    times: Counter[bytes] = Counter()
    async for page in _pages(connection, campaign_id):
        for row in page:
            times.update(key for key in _keys(row) if hash(key) in suspects)
    return [
        f"installation {key.decode(errors='replace')} is there {often} times"
        for key, often in times.items()
        if often > 1
    ]


def _keys(row: Row[Any]) -> list[bytes]:
    try:
        return KEYS.decode(row.recipients)
    except msgspec.DecodeError:
        return []  # the recount says so


async def _queue_check(connection: AsyncConnection, campaign_id: str) -> Check:
    """Whoever is pending is queued or held for a wave, and what is queued is pending."""
    queued = exists().where(tasks.c.id == batches.c.id)
    pending = exists().where(batches.c.id == tasks.c.id, batches.c.pending > 0)
    begun = and_(batches.c.campaign_id == campaign_id, batches.c.pending > 0, batches.c.wave.is_(None))
    lost = select(batches.c.id).where(begun, ~queued)
    idle = select(tasks.c.id).where(tasks.c.campaign_id == campaign_id, tasks.c.lane != PLAN, ~pending)
    wrong = _Contradictions()
    wrong.extend(f"batch {name} has pending recipients and isn't queued" for name in await _some(connection, lost))
    wrong.extend(f"batch {name} is queued and has nobody pending" for name in await _some(connection, idle))
    return _check("queue", "every batch with pending recipients is queued or held, and no other", wrong)


async def _some(connection: AsyncConnection, query: Select[tuple[str]]) -> Sequence[str]:
    return [row.id for row in await connection.execute(query.limit(SUSPECTS))]


def _state_check(campaign: Campaign, pending: int, read: int) -> Check:
    wrong = _Contradictions()
    if (
        campaign.state in (CampaignState.COMPLETED, CampaignState.CANCELLED) and pending
    ):  # a failed one's are settled yet
        wrong.append(f"{pending:,} are pending")
    if campaign.state is CampaignState.COMPLETED and not campaign.planned:
        wrong.append("the audience was not read to its end")
    if campaign.planned:
        rest = "the audience was read to its end"
    elif campaign.state in STOPPED:
        rest = f"the audience was not read to its end: {read:,} were read, about {unread(campaign, read):,} were not"
    else:
        rest = "the audience is not yet read to its end"
    return _check("state", f"{campaign.state}: {pending:,} pending, {rest}", wrong)


def _check(name: str, rule: str, wrong: _Contradictions) -> Check:
    if not wrong.count:
        return Check(name=name, ok=True, detail=rule)
    more = f" (and {wrong.count - 1:,} more)" if wrong.count > 1 else ""
    return Check(name=name, ok=False, detail=f"{rule}; but {wrong.example}{more}")


def _word(outcome: int) -> str:
    known = outcome in Outcome._value2member_map_
    return Outcome(outcome).name.lower() if known else f"unknown ({outcome})"
