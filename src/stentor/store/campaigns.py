"""Campaigns as rows: made, looked up, and moved from state to state.

Rules: every function takes the connection of the transaction it is part of; `move` is the one way a state changes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, bindparam, case, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.counted import counted
from stentor.errors import ChangedMeanwhile, InvalidState, UnknownCampaign
from stentor.states import FINAL, MOVES, STOPPED, CampaignKind, CampaignState
from stentor.store import once
from stentor.store.caring import NO_CARE, CareSettings, decode_care, encode_care
from stentor.store.database import insert_or_ignore
from stentor.store.tables import batches, campaigns, chains
from stentor.store.templates import UsedTemplate

NAMED = 5
"""Campaigns that are named at most where a name could mean several."""
AT_ONCE = 10_000
"""Ids that one query asks for at most; databases allow some 30,000 parameters."""
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


_CHAINS = exists().where(chains.c.campaign_id == campaigns.c.id)
_COLUMNS: list[ColumnElement[Any]] = [
    *[column for column in campaigns.c if column.name not in ("content", "addresses", "pause_from")],
    _CHAINS.label("begun"),
    _CHAINS.where(chains.c.done, chains.c.next.is_not(None)).label("left"),
]
_NO_SERIES = campaigns.c.kind != CampaignKind.SERIES.value
_OF_SERIES = "{id} is a series, whose runs start by themselves; see `stentor series --help`"
_ALL = select(*_COLUMNS)
_ONE = _ALL.where(campaigns.c.id == bindparam("campaign"))
_WHOLE = _ONE.add_columns(campaigns.c.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A campaign as it is stored, without its content. Times are epoch seconds."""

    id: str
    title: str
    state: CampaignState
    audience: bytes = field(repr=False)
    """JSON: an `audience.contract.Selection`."""
    collapse_id: str
    created_at: float
    problem: str | None = None
    """Why it failed, or why it was paused other than by somebody."""
    starts_at: float | None = None
    """When it starts or started; its message's lifetime counts from here."""
    expires_at: float | None = None
    """When what isn't sent yet expires; None before it starts."""
    finished_at: float | None = None
    expected: dict[str, int] = field(default_factory=dict)
    """Recipients by lane, as counted before it was started."""
    max_rate: float | None = None
    """Pushes a second that it is sent at most, over all lanes; None: as fast as they allow."""
    released_at: float | None = None
    """Since when those go on who wait for a release."""
    timing: bytes | None = None
    """JSON: a `planning.contract.Timing`; None: everybody at once."""
    paused: float = 0.0
    """Seconds of pauses after its start that are over."""
    paused_at: float | None = None
    """Since when it is paused; None where it isn't."""
    revision: int = 0
    """How often it was changed as a draft, or made a draft again."""
    held_until: float | None = None
    """Before when it does not start, as whoever started it asked for a hold; None: nobody did."""
    planned: bool = False
    """Whether its audience was read to the end. Never so of one that was stopped before."""
    planning_over: bool = False
    """Whether no more of its audience will be read: it was read to the end, or the campaign was stopped."""
    kind: CampaignKind = CampaignKind.CAMPAIGN
    pause_above: float | None = None
    """The share of failures on a lane above which it pauses by itself; None: it never does."""
    care: CareSettings = NO_CARE
    """Whom it leaves alone."""
    same_as: str | None = None
    """The first campaign that sent its message, if it sends that again; None: the message is its own."""
    template: UsedTemplate | None = None
    """The saved template that it was made from; None: none."""

    @property
    def is_message(self) -> bool:
        """Whether it is a transactional message, which goes before campaigns."""
        return self.kind is CampaignKind.MESSAGE

    @property
    def expected_recipients(self) -> int:
        """Those on a lane, as counted before it was started."""
        return sum(count for lane, count in self.expected.items() if lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStanding:
    """A campaign in an overview of all: its state, and why it is in it."""

    id: str
    title: str
    state: CampaignState
    problem: str | None = None
    """Why it failed, or why it was paused other than by somebody."""


def new_id(now: float) -> str:
    """An id that sorts by time: 8 letters and digits for the second, 8 of chance."""
    return _stamp(now) + "".join(secrets.choice(_ALPHABET) for _ in range(8))


def id_of(moment: float, chance: bytes) -> str:
    """As `new_id`, with what is told in the place of chance: 8 bytes, or more."""
    return _stamp(moment) + "".join(_ALPHABET[each & 31] for each in chance[:8])


def _stamp(now: float) -> str:
    seconds = int(now)
    return "".join(_ALPHABET[seconds >> shift & 31] for shift in range(35, -1, -5))


async def add(connection: AsyncConnection, campaign: Campaign, content: bytes, addresses: bytes | None = None) -> bool:
    """Store a new campaign, in the state it has; once, however often it is told.

    Args:
        addresses: those that a message is for, encoded; None: it is for an audience, or some of one.

    Returns: whether it is new; False: there is one of this id, which may be another one by now.
    """
    added = await connection.execute(
        insert_or_ignore(connection, campaigns).values(
            id=campaign.id,
            title=campaign.title,
            state=campaign.state.value,
            content=content,
            audience=campaign.audience,
            collapse_id=campaign.collapse_id,
            created_at=campaign.created_at,
            starts_at=campaign.starts_at,
            expires_at=campaign.expires_at,
            expected=msgspec.json.encode(campaign.expected),
            max_rate=campaign.max_rate,
            timing=campaign.timing,
            planned=campaign.planned,
            finished_at=campaign.finished_at,
            kind=campaign.kind.value,
            addresses=addresses,
            pause_above=campaign.pause_above,
            care=encode_care(campaign.care),
            same_as=campaign.same_as,
            **template_columns(campaign.template),
        )
    )
    return bool(added.rowcount)


def template_columns(used: UsedTemplate | None) -> dict[str, Any]:
    """The columns that tell what a campaign was made from."""
    return {
        "template_name": None if used is None else used.name,
        "template_version": None if used is None else used.version,
    }


async def get(connection: AsyncConnection, campaign_id: str) -> Campaign:
    """Raises: UnknownCampaign."""
    row = (await connection.execute(_ONE, {"campaign": campaign_id})).first()
    if row is None:
        raise _unknown(campaign_id)
    return _campaign(row)


async def lock(connection: AsyncConnection, campaign_id: str) -> Campaign:
    """As `get`; nobody else changes it, or goes on in a transaction that calls this, until ours ends.

    Raises: UnknownCampaign.
    """
    await connection.execute(select(campaigns.c.id).where(campaigns.c.id == campaign_id).with_for_update())
    return await get(connection, campaign_id)


async def find(connection: AsyncConnection, name: str) -> Campaign:
    """The campaign that somebody means by its id, its title, or any part of its id, in this order. A transactional
    message is found by its whole id only.

    Raises: UnknownCampaign: there is none, or there are several: then it names them.
    """
    by_id = (await connection.execute(_ONE, {"campaign": name})).first()
    if by_id is not None:
        return _campaign(by_id)
    newest_first = _ALL.where(campaigns.c.kind == CampaignKind.CAMPAIGN.value)
    newest_first = newest_first.order_by(campaigns.c.created_at.desc(), campaigns.c.id.desc()).limit(NAMED + 1)
    for told, condition in (
        ("is the title of", func.lower(campaigns.c.title) == func.lower(name)),
        ("is in the ids of", campaigns.c.id.contains(name, autoescape=True)),
    ):
        found = [_campaign(row) for row in await connection.execute(newest_first.where(condition))] if name else []
        if len(found) == 1:
            return found[0]
        if found:
            many = counted(len(found), "campaign") if len(found) <= NAMED else f"more than {NAMED} campaigns"
            ids = ", ".join(each.id for each in found[:NAMED])
            raise UnknownCampaign(f"{name!r} {told} {many}: {ids}; name one by its id")
    raise UnknownCampaign(
        f"there is no campaign of the id or title {name!r}; `stentor campaign list` shows all campaigns"
    )


async def content(connection: AsyncConnection, campaign_id: str) -> bytes:
    """What it sends, as `planning.content` encoded it. Raises: UnknownCampaign."""
    found = (await connection.execute(select(campaigns.c.content).where(campaigns.c.id == campaign_id))).scalar()
    if found is None:
        raise UnknownCampaign(f"there is no campaign {campaign_id!r}")
    return bytes(found)


async def whole(connection: AsyncConnection, campaign_id: str) -> tuple[Campaign, bytes]:
    """`get` and `content`, by one statement. Raises: UnknownCampaign."""
    row = (await connection.execute(_WHOLE, {"campaign": campaign_id})).first()
    if row is None:
        raise _unknown(campaign_id)
    return _campaign(row), bytes(row.content)


async def pause_from(connection: AsyncConnection, campaign_id: str) -> bytes | None:
    """What its lanes had when it was resumed, encoded; None: it never was."""
    found: bytes | None = (
        await connection.execute(select(campaigns.c.pause_from).where(campaigns.c.id == campaign_id))
    ).scalar()
    return found


async def newest(
    connection: AsyncConnection,
    *,
    states: Collection[CampaignState] | None = None,
    limit: int = 50,
    after: tuple[float, str] | None = None,
    kind: CampaignKind = CampaignKind.CAMPAIGN,
) -> list[Campaign]:
    """The newest of a kind first; those after the one that was made then and has this id."""
    query = (
        _ALL.where(campaigns.c.kind == kind.value)
        .order_by(campaigns.c.created_at.desc(), campaigns.c.id.desc())
        .limit(limit)
    )
    if states is not None:
        query = query.where(campaigns.c.state.in_([state.value for state in states]))
    if after is not None:
        query = query.where(tuple_(campaigns.c.created_at, campaigns.c.id) < after)
    return [_campaign(row) for row in await connection.execute(query)]


async def states(connection: AsyncConnection, campaign_ids: Collection[str]) -> dict[str, CampaignState]:
    """The state of each of these that exists."""
    found = await connection.execute(select(campaigns.c.id, campaigns.c.state).where(campaigns.c.id.in_(campaign_ids)))
    return {row.id: CampaignState(row.state) for row in found}


async def standings(
    connection: AsyncConnection, since: float, known: Collection[str] = ()
) -> dict[str, CampaignStanding]:
    """The campaigns that are started and not over, those made since then that are no drafts, and those of `known` that
    are over; by id. What it costs doesn't depend on how many have ended.

    Args:
        since: epoch seconds.
        known: ids of campaigns that were not over before.
    """
    moving = [state.value for state in CampaignState if state not in FINAL and state is not CampaignState.DRAFT]
    made_since = and_(campaigns.c.id >= _stamp(since), campaigns.c.state != CampaignState.DRAFT.value)
    found = await _standings(connection, campaigns.c.state.in_(moving))
    found |= await _standings(connection, made_since)  # each by an index of its own
    ended = sorted(set(known) - found.keys())
    for start in range(0, len(ended), AT_ONCE):
        found |= await _standings(connection, campaigns.c.id.in_(ended[start : start + AT_ONCE]))
    return found


async def _standings(connection: AsyncConnection, which: ColumnElement[bool]) -> dict[str, CampaignStanding]:
    c = campaigns.c
    ours = c.kind == CampaignKind.CAMPAIGN.value
    rows = await connection.execute(select(c.id, c.title, c.state, c.problem).where(which, ours))
    return {
        row.id: CampaignStanding(id=row.id, title=row.title, state=CampaignState(row.state), problem=row.problem)
        for row in rows
    }


async def under_way(connection: AsyncConnection) -> tuple[dict[str, CampaignState], int]:
    """The campaigns that are being sent or cancelled, or of which something planned has no outcome; and how many
    recipients those are."""
    pending = select(batches.c.campaign_id, func.sum(batches.c.pending)).where(batches.c.pending > 0)
    rows = await connection.execute(pending.group_by(batches.c.campaign_id))
    left = {campaign_id: int(recipients) for campaign_id, recipients in rows}
    moving = (CampaignState.RUNNING.value, CampaignState.CANCELLING.value)
    query = select(campaigns.c.id, campaigns.c.state).where(
        or_(campaigns.c.state.in_(moving), campaigns.c.id.in_(list(left)))
    )
    found = await connection.execute(query.order_by(campaigns.c.created_at))
    return {row.id: CampaignState(row.state) for row in found}, sum(left.values())


async def move(
    connection: AsyncConnection,
    campaign_id: str,
    to: CampaignState,
    *,
    problem: str | None = None,
    now: float | None = None,
    **values: Any,
) -> bool:
    """Move a campaign to another state, and set other columns with it.

    Returns: whether it moved; False where it was in that state already.

    Raises:
        InvalidState: the table of moves doesn't allow it, or it is the draft of a series.
        UnknownCampaign: there is no such campaign.
    """
    allowed = [state.value for state, after in MOVES.items() if to in after]
    at = time.time() if now is None else now
    values |= {"state": to.value, "problem": problem, "paused": campaigns.c.paused + _ended_pause(at)}
    values["paused_at"] = at if to is CampaignState.PAUSED else None
    if to in FINAL:
        values["finished_at"] = at
    moved = await connection.execute(
        update(campaigns)
        .where(campaigns.c.id == campaign_id, campaigns.c.state.in_(allowed), _NO_SERIES)
        .values(values)
    )
    if moved.rowcount:
        return True
    found = await get(connection, campaign_id)
    state = found.state
    if found.kind is CampaignKind.SERIES:
        raise InvalidState(_OF_SERIES.format(id=campaign_id))
    if state is to:
        return False
    raise InvalidState(f"campaign {campaign_id} is {state}, so it can't become {to}")


def _ended_pause(at: float) -> ColumnElement[float]:
    """Seconds of a pause that ends now, as far as it was after the campaign's start."""
    since = case((campaigns.c.starts_at > campaigns.c.paused_at, campaigns.c.starts_at), else_=campaigns.c.paused_at)
    return case((since < at, at - since), else_=0.0)  # NULL, where it wasn't paused, is before nothing


async def unschedule(connection: AsyncConnection, campaign_id: str) -> bool:
    """Make a campaign that waits for its start a draft again, with the time to start that it had as a draft.

    Returns: whether it was; False where it is a draft already.

    Raises:
        InvalidState: it has started, or is paused.
        UnknownCampaign: there is none of this id.
    """
    c = campaigns.c
    # Of a start from before there was this column, a time that is not the hold's is the one that was asked for.
    before = case((c.starts_at > func.coalesce(c.held_until, 0.0), c.starts_at), else_=None)
    values: dict[str, Any] = {
        "starts_at": func.coalesce(c.asked_start, before),
        "asked_start": None,
        "expires_at": None,
        "held_until": None,
        "revision": c.revision + 1,
    }
    return await move(connection, campaign_id, CampaignState.DRAFT, **values)


async def change_draft(connection: AsyncConnection, campaign_id: str, revision: int, values: Mapping[str, Any]) -> None:
    """Set columns of a draft that was changed `revision` times; once, however often it is told.

    Raises:
        UnknownCampaign: there is none of this id.
        InvalidState: it was started.
        ChangedMeanwhile: it was changed more often.
    """
    ours = campaigns.c.revision == revision
    changed = await connection.execute(
        update(campaigns).where(*_draft(campaign_id), ours).values({**values, "revision": revision + 1})
    )
    if changed.rowcount:
        return
    row = (await connection.execute(_ALL.add_columns(campaigns.c.content).where(campaigns.c.id == campaign_id))).first()
    if row is None or row.state != CampaignState.DRAFT.value:
        await _refuse_started(connection, campaign_id)
    elif row.revision != revision + 1 or any(_differs(row, name, value) for name, value in values.items()):
        raise ChangedMeanwhile(f"campaign {campaign_id} was changed by somebody else meanwhile; look at it again")


async def keep_count(connection: AsyncConnection, campaign_id: str, revision: int, expected: Mapping[str, int]) -> None:
    """Keep how many a draft of this revision is for, by lane. Raises: as `change_draft`."""
    unchanged = campaigns.c.revision == revision
    values = {"expected": msgspec.json.encode(expected)}
    kept = await connection.execute(update(campaigns).where(*_draft(campaign_id), unchanged).values(values))
    if kept.rowcount:
        return
    if (await get(connection, campaign_id)).state is not CampaignState.DRAFT:
        await _refuse_started(connection, campaign_id)
    raise ChangedMeanwhile(f"campaign {campaign_id} was changed by somebody else meanwhile; look at it again")


async def discard(connection: AsyncConnection, campaign_id: str, revision: int | None = None) -> None:
    """Delete a draft, if it was changed so often; one that is gone already is.

    A key under which it was started, before that was taken back, is free again.

    Raises: InvalidState: it was started; ChangedMeanwhile: it was changed more often.
    """
    unchanged = [] if revision is None else [campaigns.c.revision == revision]
    gone = await connection.execute(delete(campaigns).where(*_draft(campaign_id), *unchanged, _NO_SERIES))
    if gone.rowcount:
        await once.release_all(connection, campaign_id)
    if gone.rowcount or not await states(connection, [campaign_id]):
        return
    found = await get(connection, campaign_id)
    if found.state is not CampaignState.DRAFT or found.kind is CampaignKind.SERIES:
        await _refuse_started(connection, campaign_id)
    raise ChangedMeanwhile(f"campaign {campaign_id} was changed by somebody else meanwhile; look at it again")


def _differs(row: Row[Any], name: str, value: object) -> bool:
    """Whether a column holds something else; what was counted doesn't count."""
    held = getattr(row, name)
    return name != "expected" and (bytes(held) if isinstance(value, bytes) else held) != value


def _draft(campaign_id: str) -> tuple[ColumnElement[bool], ...]:
    return campaigns.c.id == campaign_id, campaigns.c.state == CampaignState.DRAFT.value


async def _refuse_started(connection: AsyncConnection, campaign_id: str) -> None:
    found = await get(connection, campaign_id)
    if found.kind is CampaignKind.SERIES:
        raise InvalidState(_OF_SERIES.format(id=campaign_id))
    state = found.state
    raise InvalidState(f"campaign {campaign_id} is {state}; only a draft can be changed or deleted")


async def release(connection: AsyncConnection, campaign_id: str, now: float) -> None:
    """Have those go on who wait for it. `now` in epoch seconds."""
    await connection.execute(update(campaigns).where(campaigns.c.id == campaign_id).values(released_at=now))


async def keep(connection: AsyncConnection, campaign_id: str) -> None:
    """Have a campaign stay as it is, and nobody `lock` it, until the transaction ends."""
    await connection.execute(select(campaigns.c.id).where(campaigns.c.id == campaign_id).with_for_update(read=True))


async def finish(connection: AsyncConnection, campaign_ids: Collection[str], now: float) -> int:
    """Complete (or end as cancelled) those of some campaigns of which no more will be read and nothing is pending.

    Returns: how many ended with this; whoever calls it later, or too early, changes nothing.
    """
    pending = exists().where(batches.c.campaign_id == campaigns.c.id, batches.c.pending > 0)
    ended = 0
    for before, after in (
        (CampaignState.RUNNING, CampaignState.COMPLETED),
        (CampaignState.CANCELLING, CampaignState.CANCELLED),
    ):
        found = await connection.execute(
            update(campaigns)
            .where(campaigns.c.id.in_(campaign_ids), campaigns.c.state == before.value, campaigns.c.planned, ~pending)
            .values(state=after.value, finished_at=now)
        )
        ended += found.rowcount
    return ended


def _unknown(campaign_id: str) -> UnknownCampaign:
    return UnknownCampaign(f"there is no campaign {campaign_id!r}; `stentor campaign list` shows all campaigns")


def _campaign(row: Row[Any]) -> Campaign:
    return Campaign(
        id=row.id,
        title=row.title,
        state=CampaignState(row.state),
        problem=row.problem,
        audience=bytes(row.audience),
        collapse_id=row.collapse_id,
        created_at=row.created_at,
        starts_at=row.starts_at,
        expires_at=row.expires_at,
        finished_at=row.finished_at,
        expected=msgspec.json.decode(row.expected, type=dict[str, int]) if row.expected else {},
        max_rate=row.max_rate,
        released_at=row.released_at,
        timing=None if row.timing is None else bytes(row.timing),
        paused=row.paused,
        paused_at=row.paused_at,
        revision=row.revision,
        held_until=row.held_until,
        planned=bool(row.planned and not row.left and (row.begun or row.state not in STOPPED)),
        planning_over=bool(row.planned),
        kind=CampaignKind(row.kind),
        pause_above=row.pause_above,
        care=decode_care(row.care),
        same_as=row.same_as,
        template=None
        if row.template_name is None
        else UsedTemplate(name=row.template_name, version=row.template_version),
    )
