"""The registry's installations, one by one or as a stream: `Stentor.installations`.

Rules: an installation is checked as `stentor import` checks a row, and what cannot be sent to is refused; what isn't
said of one stays as it is. An address is shown whole only to those who ask for it, and is in no error and no log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec
from sqlalchemy import Row, delete
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor import channels
from stentor.audience import lookup
from stentor.audience.importing import BATCH, LARGEST_BATCH, ImportResult, Remark, RowFate, shorten, take_in
from stentor.audience.json_lines import read_stream
from stentor.audience.lookup import Listing
from stentor.audience.registry import register_in
from stentor.audience.rows import ColumnMapping, RowReader, RowRefused
from stentor.errors import InvalidConfiguration, InvalidInput, UnknownInstallation
from stentor.runtime.erasing import Erased, Eraser, Erasing
from stentor.runtime.resources import Resources
from stentor.store.tables import installations

LARGEST_PAGE = 1000
"""Installations on a page at most."""
Change = Literal["added", "changed", "revived", "unchanged"]
Attributes = dict[str, Any]


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """An installation of the registry. Times are epoch seconds; null: unknown, or never."""

    id: str
    channel: str
    app: str | None
    address: str
    """Only its beginning and `…`, unless it was asked for."""
    language: str | None
    time_zone: str | None
    attributes: Attributes
    registered_at: float | None
    dead_at: float | None
    """When the provider said that the address will never work again."""
    dead_reason: str | None

    def __repr__(self) -> str:
        """Shows no address."""
        return f"<Installation {self.id} on {self.channel}>"


class InstallationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some installations."""

    installations: list[Installation]
    next: str | None
    """The cursor of the next page; null: this is the last one."""


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one that was put."""

    change: Change
    """`revived`: its address was dead, and it has another one now, or registered again."""
    installation: Installation


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a stream that was not registered just as it stands there."""

    line: int
    """From 1."""
    fate: RowFate
    """`rejected`; `left out`: a value of it was; `duplicate`: a later row with the same id counts."""
    reason: str
    id: str
    """Only its beginning; empty if the row could not be read."""


class Upserted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stream's rows. `read` is the sum of all that follow but `left_out`."""

    lines: int
    """The last line that was dealt with, and is committed."""
    read: int
    added: int
    changed: int
    revived: int
    """Their address was dead; they have another one now, or registered again."""
    unchanged: int
    duplicates: int
    """Rows that a later one with the same id overruled."""
    rejected: dict[str, int]
    """Rows that cannot be used, by reason."""
    left_out: dict[str, int]
    """Values that could not be read, by reason. Their rows were registered without them."""


class Installations:
    """The registry. Every method may raise `StoreUnavailable`."""

    def __init__(self, resources: Resources) -> None:
        self._database = resources.database
        self._channels = frozenset(channels.names())
        self._apps: defaultdict[str, set[str]] = defaultdict(set)
        for name, app in resources.config.apps.items():
            self._apps[app.channel].add(name)
        self._eraser = Eraser(resources)

    async def get(self, installation_id: str, *, address: bool = False) -> Installation:
        """One installation.

        Args:
            address: give its address whole.

        Raises:
            UnknownInstallation: there is none of this id.
        """
        row = await self._database.ask(lambda connection: lookup.find(connection, installation_id))
        if row is None:
            raise UnknownInstallation(f"there is no installation {installation_id!r} in the registry")
        return _shown(row, address=address)

    async def page(
        self,
        *,
        channel: str | None = None,
        app: str | None = None,
        dead: bool | None = None,
        cursor: str | None = None,
        limit: int = 100,
        addresses: bool = False,
    ) -> InstallationPage:
        """Some installations, those after `cursor`. It costs the same however many there are.

        Args:
            channel, app, dead: only those on one channel, or of one app of it, or whose address is (or isn't) dead.
            cursor: the `next` of the page before, for the same `channel`, `app` and `dead`.
            limit: LARGEST_PAGE at most.
            addresses: give their addresses whole.

        Raises:
            InvalidConfiguration: there is no such list: an app without its channel, a bad cursor, or a bad limit.
        """
        if app is not None and channel is None:
            raise InvalidConfiguration("an app is of one channel; say which channel as well")
        if not 1 <= limit <= LARGEST_PAGE:
            raise InvalidConfiguration(f"limit: {limit}; it may be from 1 to {LARGEST_PAGE:,}")
        kind = Listing(channel=channel, app=app, dead=dead)
        rows, following = await self._database.ask(lambda connection: lookup.page(connection, kind, cursor, limit))
        return InstallationPage(installations=[_shown(row, address=addresses) for row in rows], next=following)

    async def put(self, values: Mapping[str, Any], *, address: bool = False) -> Put:
        """Add an installation, or change what is said of it; all else stays as it is.

        Args:
            values: `id`; `address` (or `token`) and `channel`, which may be left out if it is there already; `app`,
                `language`, `time_zone`, `registered_at`; all other names are attributes. `attributes` may hold more of
                these. Attributes replace all that there were.
            address: give its address whole.

        Raises:
            InvalidInput: it cannot be sent to, or a value cannot be read; the error names the field.
        """
        mapping = ColumnMapping()
        said = mapping.pick(list(values)).row(list(values.values()))
        reader = RowReader(mapping, self._channels, self._apps)

        async def change(connection: AsyncConnection) -> Put:
            known = {}
            if said.get("channel") is None or said.get("address") is None:
                old = await lookup.find(connection, str(said.get("id")), lock=True)
                known = {} if old is None else {"channel": old.channel, "address": old.address}
            registration, left_out = reader.registration(known | {k: v for k, v in said.items() if v is not None})
            if left_out:
                raise RowRefused(left_out[0].field, left_out[0].rule, left_out[0].detail)
            new = await register_in(connection, [registration])
            row = await lookup.find(connection, registration.id)
            assert row is not None, "it was registered in this transaction"
            return Put(change=_change(new.added, new.changed, new.revived), installation=_shown(row, address=address))

        try:
            return await self._database.write(change)
        except RowRefused as why:
            raise InvalidInput(why.field, str(why)) from None

    async def upsert_many(
        self,
        body: AsyncIterable[bytes],
        *,
        channel: str | None = None,
        app: str | None = None,
        on_rejected: Callable[[Sequence[Rejected]], Awaitable[None]] | None = None,
        on_progress: Callable[[Upserted], None] | None = None,
    ) -> Upserted:
        """Add or change installations, as many as there are: JSON Lines, each line as `put` takes one.

        Memory stays the same however long the stream is. A thousand rows at a time are committed. Each row needs its
        address and channel. Rows that cannot be used are told and left out. Sending the same again changes nothing.

        Args:
            body: the text, in pieces that are cut anywhere. If it raises, what was read before stays; that error
                reaches the caller, and `on_progress` was told how many lines were committed.
            channel, app: of the rows that name none.
            on_rejected: awaited with some rows that were left out, or overruled, or lack a value; reading waits for it.
            on_progress: told what is committed so far, after each transaction.

        Raises:
            InvalidConfiguration: there is no such channel.
        """
        if channel is not None and channel not in self._channels:
            raise InvalidConfiguration(f"channel {channel}: known are {', '.join(sorted(self._channels))}")
        mapping = ColumnMapping(channel=channel, app=app)
        reader = RowReader(mapping, self._channels, self._apps)

        async def tell(remarks: Sequence[Remark]) -> None:
            if on_rejected is not None:
                await on_rejected([_rejected(each) for each in remarks])

        def progress(result: ImportResult) -> None:
            if on_progress is not None:
                on_progress(_upserted(result))

        rows = read_stream(body, mapping, BATCH, LARGEST_BATCH)
        return _upserted(await take_in(rows, reader, self._database, tell, progress))

    async def delete(self, installation_id: str) -> bool:
        """Take an installation out of the registry. What campaigns know of it stays: see `erase`.

        Returns: whether it was there.
        """
        gone = delete(installations).where(installations.c.id == installation_id)

        async def change(connection: AsyncConnection) -> bool:
            return bool((await connection.execute(gone)).rowcount)

        return await self._database.write(change)

    async def erase(
        self, installation_id: str, *, on_progress: Callable[[Erasing], None] | None = None, patience: float = 60.0
    ) -> Erased:
        """Remove a person: everything in the store that holds this id or its address. See `Eraser.erase`."""
        return await self._eraser.erase(installation_id, on_progress=on_progress, patience=patience)


def _shown(row: Row[Any], *, address: bool) -> Installation:
    values = {**row._mapping, "attributes": _attributes(row.attributes)}
    return Installation(**values | ({} if address else {"address": shorten(row.address)}))


def _attributes(encoded: str | None) -> Attributes:
    return msgspec.json.decode(encoded, type=Attributes) if encoded else {}


def _change(added: int, changed: int, revived: int) -> Change:
    if added:
        return "added"
    return "revived" if revived else "changed" if changed else "unchanged"


def _rejected(remark: Remark) -> Rejected:
    return Rejected(line=remark.line, fate=remark.fate, reason=remark.reason, id=shorten(remark.row.get("id")))


def _upserted(result: ImportResult) -> Upserted:
    return Upserted(lines=result.lines, **result.as_dict())
