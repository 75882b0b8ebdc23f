"""Whom of a page a campaign leaves alone, as the store knows it now: a few queries a page, however large the page is.

What was sent is not written down anew for this: batches have their keys, their outcomes and their times, and only those
whose keys lie around the page's are read. Rules: the look comes before the page is divided, and `Looked.hold` sees in
the transaction that puts the batches that no other batch came between; of two campaigns that plan for the same people
at once, one looks again. So no cap is passed, whoever is killed at whatever moment: what is planned counts until its
outcome is recorded, and then the outcome does, both by the very rows that say so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Page
from stentor.caps import EVERYTHING, Cap, read_cap
from stentor.errors import InvalidAudience
from stentor.model import Action
from stentor.own_reasons import CAPPED, EXCLUDED, OPTED_OUT
from stentor.planning.care.counting import EarlierBatch, Enough, capped, reached
from stentor.planning.content import Content
from stentor.planning.division import LeftOut
from stentor.states import CampaignKind, CampaignState
from stentor.store import exclusions as exclusion_rows
from stentor.store import opt_outs
from stentor.store.among import among
from stentor.store.campaigns import Campaign
from stentor.store.caring import CareSettings, decode_care
from stentor.store.database import POSTGRESQL, Database
from stentor.store.tables import batches, campaigns, exclusions
from stentor.store.tables import opt_outs as opt_outs_table
from stentor.zones import zone_of

KEY_LENGTH = 100
"""Bytes of a key that tell where a batch lies: databases take no long ones into an index."""
LATE = 86_400.0
"""Seconds after the end of a campaign within which the last of its outcomes is recorded."""
LOCK = 0x43415245
"""The PostgreSQL lock under which batches are put that a cap applies to: "CARE"."""
_KEYS = msgspec.msgpack.Decoder(list[bytes])
_UNSTARTED = (CampaignState.DRAFT.value, CampaignState.SCHEDULED.value)
_COLUMNS = (batches.c.id, batches.c.campaign_id, batches.c.recipients, batches.c.outcomes, batches.c.recorded_at)


class Overtaken(Exception):
    """Another campaign planned for some of the same people meanwhile: look again."""


def bounds(keys: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Between which keys others lie, cut to `KEY_LENGTH`; two that overlap do so as well if they are cut."""
    return min(keys)[:KEY_LENGTH], max(keys)[:KEY_LENGTH]


class _Counts(NamedTuple):
    """What counts of a campaign."""

    message: str
    category: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Basis:
    """What was looked at for the caps."""

    bounds: tuple[bytes, bytes]
    since: float
    seen: frozenset[str]
    """The batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Who of a page is left alone."""

    left_out: Mapping[bytes, LeftOut] = field(default_factory=dict)
    enough: Mapping[bytes, Enough] = field(default_factory=dict)
    """Who had as much as a cap allows; those of them who are left out by another rule, too."""
    care: CampaignCare
    basis: _Basis | None = None
    """None where no cap applies."""

    @property
    def free_at(self) -> dict[bytes, float]:
        """Of each who is left out by a cap: from when on a message may be sent, in epoch seconds, if whatever is under
        way is accepted now."""
        return {key: each.free_at for key, each in self.enough.items() if self.left_out[key].reason == CAPPED}

    async def hold(self, connection: AsyncConnection) -> None:
        """To be called first in the transaction that puts the page's batches. Until it ends, nobody else puts any that
        a cap applies to.

        Raises: Overtaken: somebody did since the look.
        """
        if self.basis is not None:
            await self.care.hold(connection, self.basis)


class Care:
    """What is the same for all campaigns: the caps of the configuration."""

    def __init__(self, database: Database, caps: Sequence[Cap], clock: Callable[[], float]) -> None:
        """Args:
        caps: of the configuration.
        clock: epoch seconds.
        """
        self._database = database
        self._caps = tuple(caps)
        self._clock = clock

    def of(self, campaign: Campaign, content: Content) -> CampaignCare:
        """The care that a campaign takes."""
        return CampaignCare(self._database, campaign, self._caps, self._clock, by_all=content.action is Action.SEND)


class CampaignCare:
    """The care that one campaign takes. Holds nothing between two looks but what never changes."""

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        caps: Sequence[Cap],
        clock: Callable[[], float],
        *,
        by_all: bool = True,
    ) -> None:
        """Args:
        caps: of the configuration.
        by_all: False: it changes what another campaign sent, and leaves nobody alone.
        """
        care = campaign.care
        self._database = database
        self._clock = clock
        self._id = campaign.id
        self._message = campaign.same_as or campaign.id
        self._care = care if by_all else CareSettings(exempt=True)
        self._by_all = by_all
        ours = (*caps, *map(read_cap, care.caps))
        own = {str(cap) for cap in map(read_cap, care.caps)}
        self._caps = () if self._care.exempt else tuple(cap for cap in dict.fromkeys(ours) if self._applies(cap, own))
        self._hashing_key: bytes | None = None

    @property
    def wants_zones(self) -> bool:
        """Whether a look needs each installation's time zone."""
        return any(cap.calendar for cap in self._caps)

    async def look(self, page: Page) -> Looked:
        """Who of a page is left alone. If `wants_zones`, it should have the installations' time zones.

        Raises:
            InvalidAudience: a list or a campaign that it names was deleted.
            StoreUnavailable.
        """
        if not self._by_all or not len(page):
            return Looked(care=self)
        return await self._database.ask(lambda connection: self._look(connection, page))

    async def _look(self, connection: AsyncConnection, page: Page) -> Looked:
        left_out: dict[bytes, LeftOut] = {}
        keys = frozenset(page.keys)
        enough: Mapping[bytes, Enough] = {}
        basis = None
        if self._caps:
            now = self._clock()
            basis, sent = await self._sent(connection, bounds(page.keys), now)
            enough = capped(self._caps, sent, keys, now, _zones(page))
            left_out = _left_out(enough)
        if self._care.not_reached_by:
            left_out |= await self._reached(connection, page, keys)
        if self._care.exclude:
            left_out |= await self._listed(connection, page)
        left_out |= await self._opted_out(connection, page)
        return Looked(
            left_out=left_out,
            enough=enough,
            care=self,
            basis=basis,
        )

    async def hold(self, connection: AsyncConnection, basis: _Basis) -> None:
        """See `Looked.hold`."""
        if connection.dialect.name == POSTGRESQL:  # SQLite has one writer at a time
            await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
        counted = await self._counted(connection, basis.since)
        found = await connection.execute(
            select(batches.c.id).where(_around(connection, basis.bounds, [*counted]), _counts(basis.since))
        )
        if any(row.id not in basis.seen for row in found):
            raise Overtaken

    def _applies(self, cap: Cap, own: Collection[str]) -> bool:
        return cap.category in (None, self._care.category) or str(cap) in own

    async def _sent(
        self, connection: AsyncConnection, around: tuple[bytes, bytes], now: float
    ) -> tuple[_Basis, list[EarlierBatch]]:
        """What may count of the messages of others around some keys."""
        since = now - max(cap.seconds for cap in self._caps)
        counted = await self._counted(connection, since)
        rows = await connection.execute(
            select(*_COLUMNS).where(_around(connection, around, [*counted]), _counts(since))
        )
        found = rows.all()
        basis = _Basis(bounds=around, since=since, seen=frozenset(row.id for row in found))
        return basis, [
            EarlierBatch(
                campaign=row.campaign_id,
                message=counted[row.campaign_id].message,
                category=counted[row.campaign_id].category,
                keys=_KEYS.decode(row.recipients),
                outcomes=row.outcomes,
                at=row.recorded_at or 0.0,
            )
            for row in found
        ]

    async def _counted(self, connection: AsyncConnection, since: float) -> dict[str, _Counts]:
        """The campaigns of other messages that may count, by id."""
        c = campaigns.c
        rows = await connection.execute(
            select(c.id, c.same_as, c.care).where(
                c.kind == CampaignKind.CAMPAIGN.value,
                c.state.not_in(_UNSTARTED),
                or_(c.finished_at.is_(None), c.finished_at >= since - LATE),
            )
        )
        wanted = {cap.category for cap in self._caps}
        found = {}
        for row in rows:
            message, care = row.same_as or row.id, decode_care(row.care)
            if message == self._message or care.exempt or not (None in wanted or care.category in wanted):
                continue
            found[row.id] = _Counts(message, care.category)
        return found

    async def _reached(self, connection: AsyncConnection, page: Page, keys: frozenset[bytes]) -> dict[bytes, LeftOut]:
        """Those whom a campaign reached that this one names, or that sent its message again.

        Raises: InvalidAudience: a campaign is gone.
        """
        c, named = campaigns.c, self._care.not_reached_by
        those = await connection.execute(
            select(c.id, c.same_as).where(or_(c.id.in_(named), c.same_as.in_(named)), c.id != self._id)
        )
        told = {row.id: row.id if row.id in named else row.same_as for row in those}
        if missing := [each for each in named if each not in told and each != self._id]:
            raise InvalidAudience(
                f"campaign {missing[0]}, whose recipients the campaign leaves out, was deleted; cancel the campaign,"
                " and make it anew without it"
            )
        lies = _around(connection, bounds(page.keys), [*told], unknown=True)
        some = batches.c.accepted + batches.c.ambiguous + batches.c.pending > 0
        found: dict[bytes, LeftOut] = {}
        for row in await connection.execute(select(*_COLUMNS).where(lies, some)):
            batch = EarlierBatch(
                campaign=row.campaign_id,
                message="",
                category=None,
                keys=_KEYS.decode(row.recipients),
                outcomes=row.outcomes,
                at=0.0,
            )
            why = LeftOut(EXCLUDED, f"reached by campaign {told[row.campaign_id]}")
            found |= dict.fromkeys(reached(batch, keys), why)
        return found

    async def _listed(self, connection: AsyncConnection, page: Page) -> dict[bytes, LeftOut]:
        """Those on an exclusion list of the campaign. Raises: InvalidAudience: a list is gone."""
        known = await exclusion_rows.names(connection)
        if missing := [each for each in self._care.exclude if each not in known]:
            raise InvalidAudience(
                f"the exclusion list {missing[0]}, which the campaign leaves out, was deleted; make it again with"
                f" `stentor exclusion add {missing[0]} …`, and resume the campaign"
            )
        on_them = select(exclusions.c.list, exclusions.c.installation).where(exclusions.c.list.in_(self._care.exclude))
        rows = await _of_page(connection, page, on_them, exclusions.c.installation)
        return {row.installation.encode(): LeftOut(EXCLUDED, f"on the list {row.list}") for row in rows}

    async def _opted_out(self, connection: AsyncConnection, page: Page) -> dict[bytes, LeftOut]:
        """Those who said no."""
        c = opt_outs_table.c
        categories = sorted({EVERYTHING, self._care.category or EVERYTHING})
        no = select(c.hash, c.installation, c.category).where(c.category.in_(categories))
        found = {
            row.installation.encode(): row.category for row in await _of_page(connection, page, no, c.installation)
        }
        if (await connection.execute(no.where(c.installation.is_(None)).limit(1))).first() is not None:
            key = self._hashing_key = self._hashing_key or await opt_outs.hashing_key(connection)
            assert key is not None, "it is there before the first no"
            hashed = {opt_outs.hash_of(key, each): each for each in page.keys}
            erased = no.where(among(connection, c.hash, [*hashed]))
            found |= {hashed[row.hash]: row.category for row in await connection.execute(erased)}
        said = {each: LeftOut(OPTED_OUT, f"said no to {each}") for each in categories}
        said[EVERYTHING] = LeftOut(OPTED_OUT, "said no to all messages")
        return {each: said[category] for each, category in found.items()}


async def _of_page(
    connection: AsyncConnection, page: Page, query: Select[Any], installation: ColumnElement[Any]
) -> Sequence[Row[Any]]:
    """The rows of a query that may be about a page's installations: all between its first and its last, if these are no
    more than the page has; else its own."""
    first, last = min(page.keys).decode(errors="replace"), max(page.keys).decode(errors="replace")
    between = query.where(installation >= first, installation <= last).limit(len(page) + 1)
    rows: Sequence[Row[Any]] = (await connection.execute(between)).all()
    if len(rows) <= len(page):
        return rows
    keys = [key.decode(errors="replace") for key in page.keys]
    found: Sequence[Row[Any]] = (await connection.execute(query.where(among(connection, installation, keys)))).all()
    return found


def _around(
    connection: AsyncConnection, around: tuple[bytes, bytes], ids: Sequence[str], *, unknown: bool = False
) -> ColumnElement[bool]:
    """Batches of these campaigns that may have keys between two. With `unknown`: or of which nobody knows it."""
    first, last = around
    lies: ColumnElement[bool] = and_(batches.c.first_key <= last, batches.c.last_key >= first)
    if unknown:
        lies = or_(lies, batches.c.first_key.is_(None))
    return and_(among(connection, batches.c.campaign_id, ids), lies)


def _counts(since: float) -> ColumnElement[bool]:
    """Batches that somebody may still be sent to, or of which somebody was reached since then."""
    some = and_(batches.c.accepted + batches.c.ambiguous > 0, batches.c.recorded_at >= since)
    return or_(batches.c.pending > 0, some)


def _zones(page: Page) -> Callable[[bytes], tzinfo | None] | None:
    """The zone of each of a page's installations, as far as it is known."""
    if page.zones is None:
        return None
    said = dict(zip(page.keys, page.zones, strict=True))
    return lambda key: zone_of(said[key])


def _left_out(enough: Mapping[bytes, Enough]) -> dict[bytes, LeftOut]:
    """Of each who had enough, the cap and from when on a message may be sent, for people."""
    told: dict[int, LeftOut] = {}
    for each in {id(each): each for each in enough.values()}.values():  # few, and shared by many
        free = datetime.fromtimestamp(each.free_at, UTC)
        told[id(each)] = LeftOut(CAPPED, f"{each.cap}; the next may be sent from {free:%Y-%m-%d %H:%M:%S} UTC")
    return {key: told[id(each)] for key, each in enough.items()}
