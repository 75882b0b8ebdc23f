"""An audience that is a table or query of the app's own database, read through SQLAlchemy.

Rules: a page is one SELECT by key in a short transaction of its own, with no OFFSET. All work is on columns: nothing is
done row by row on the ordinary path. Where the key isn't unique, a page would skip rows, so that is an error as soon as
it shows. The database's own order of keys is the only one that counts; Python's is never used (collations differ). A
row that cannot be read is looked for, and refused by itself: the rest of its page is read without it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice, zip_longest
from operator import eq
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience import checks, values
from stentor.audience.contract import LONGEST_ZONE, MOST_ZONES, NO_LANE, Page, Range, Routes, Selection, Wanted
from stentor.audience.keys import Key, Kind, kind_of, read_cursor, texts
from stentor.audience.segments.tree import names
from stentor.audience.selecting import segment_condition, segment_tree
from stentor.audience.source import Element, Source, parameter
from stentor.config import AudienceConfig
from stentor.errors import AudienceUnavailable, InvalidAudience, InvalidConfiguration, StoreOutdated, StoreUnavailable
from stentor.store.database import Database

FEW = 1000
"""An audience of so many installations at most is one range."""
AT_ONCE = 10_000
"""Keys that one query asks for at most; databases allow some 30,000 parameters."""
LOOKED_AT = 1000
"""Installations whose values are looked at before a campaign, for what their types are good for."""
PLACES, OF_EACH = 20, 500
"""Where an estimate looks into an audience, and at how many installations in each place."""
MOST_UNREADABLE = 100
"""Rows of a page that may be unreadable, each by itself; of more, it is the column that is at fault."""

_Row = Sequence[Any]


class SqlAudience:
    """A selection of the installations in a table or query. See `contract.Audience` for what its methods promise.

    `Selection.failed_of` is the planner's matter: it knows who failed, and asks for them with `find`.
    """

    def __init__(
        self,
        database: Database,
        settings: AudienceConfig,
        selection: Selection,
        routes: Routes,
        *,
        json_column: str | None = None,
        unique: checks.UniqueColumns | None = None,
    ) -> None:
        """Args:
        database: where the audience is; whoever opened it closes it.
        json_column: a column of further attributes, a JSON object as text.
        unique: what is remembered of this database's tables; None: nothing yet.
        """
        self._database = database
        self._selection = selection
        self._source = Source(f"audiences.{selection.source}", settings, routes, database.dialect, json_column)
        self._segment: Element | None = None
        """The condition of the selection's segment, once it was needed."""
        self._kind: Kind | None = None
        """Of all keys, once it was needed: it is the column's, and stays the same."""
        self._groups: Sequence[_Row] | None = None
        self._is_counted = False
        self._unique = unique or checks.UniqueColumns()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._selection.source}: {self._source.name}>"

    async def check(self, wanted: Wanted) -> None:
        source = self._source
        async with self._reading() as connection:
            await checks.check_columns(connection, source)
            if source.settings.where:
                with checks.blaming(f"{source.setting}.where"):
                    await checks.check_where(connection, source)
            source.wanted_variables(wanted)
            for name, values in self._selection.filters.items():
                with checks.blaming(f"the filter on {name}"):
                    await checks.check_filter(connection, source, name, values)
            named = [*wanted.variables, *self._selection.filters]
            if self._selection.segment is not None:
                with checks.blaming("the segment"):
                    await checks.check_condition(connection, source, await self._segment_of(connection))
                named += names(segment_tree(self._selection.segment))
            await checks.check_attributes(connection, source, named)
            if (ends := await self._ends(connection, [source.member])) is not None:
                self._kind = ends[2]
            await checks.check_keys(connection, source, self._unique)
            rows, _ = await self._rows(connection, wanted, [source.member], LOOKED_AT)
            checks.check_values(source, self._columns(wanted), rows)
            groups = await self._group(connection, await self._selected(connection))
            wrong = checks.wrong_channels(source, groups)
            if wrong and self._is_part:  # what all of these say may be odd among everybody's
                wrong = checks.wrong_channels(source, await self._group(connection, [source.member]))
            if wrong:
                raise InvalidAudience(wrong)
            self._groups, self._is_counted = groups, True

    async def count(self) -> Mapping[str, int]:
        """See the contract. Right after `check` it is known already, and isn't counted a second time."""
        is_counted, self._is_counted = self._is_counted, False
        return self._by_lane(await self._grouped(anew=not is_counted))

    async def check_segment(self) -> None:
        """See that the selection's segment can be asked; nothing else is looked at.

        Raises:
            InvalidAudience: it cannot.
        """
        source, segment = self._source, self._selection.segment
        async with self._reading() as connection:
            if segment is not None:
                with checks.blaming("the segment"):
                    await checks.check_condition(connection, source, await self._segment_of(connection))
                await checks.check_attributes(connection, source, names(segment_tree(segment)))

    async def estimate(self) -> int:
        """About how many are selected: the share among some thousands of the audience, which lie all over it, of all
        that it has."""
        source = self._source
        async with self._reading() as connection:
            ends = await self._ends(connection, [source.member])
            if ends is None:
                return 0
            first, last, kind = ends
            looked_at = selected = 0
            wanted = sa.and_(sa.true(), *await self._selected(connection))
            places = [first, *kind.between(first, last, PLACES)]
            for place, after in zip_longest(places, places[1:]):
                within = [source.id >= parameter("place", place)]
                if after is not None:
                    within.append(source.id < parameter("after", after))
                some = sa.select(sa.case((wanted, 1), else_=0).label("is_selected")).select_from(source.table)
                rows = some.where(source.member, *within).order_by(source.id).limit(OF_EACH).subquery()
                found = await _fetch(connection, sa.select(sa.func.count(), sa.func.sum(rows.c.is_selected)))
                looked_at += found[0][0]
                selected += int(found[0][1] or 0)
            everybody = sa.select(sa.func.count()).select_from(source.table).where(source.member)
            total: int = (await _fetch(connection, everybody))[0][0]
        return round(total * selected / looked_at) if looked_at else 0

    async def first(self, limit: int, wanted: Wanted) -> Page:
        """The first of the selected, in key order."""
        async with self._reading() as connection:
            rows, unreadable = await self._rows(connection, wanted, await self._selected(connection), limit)
        return self._page(rows, limit, wanted, unreadable)

    async def nowhere(self) -> Mapping[str, int]:
        """See the contract. It is of those whom `count` or `check` counted last."""
        source = self._source
        found: Counter[str] = Counter()
        for channel, app, count in await self._grouped(anew=False):
            if source.lane(channel, app) == NO_LANE:
                found[source.said(channel, app)] += count
        return dict(found.most_common())

    async def zones(self) -> Mapping[str | None, int]:
        source = self._source
        async with self._reading() as connection:
            conditions = [*await self._selected(connection), source.on_lanes({*source.routes.lanes.values()})]
            everybody = sa.select(sa.func.count()).select_from(source.table).where(*conditions)
            count: int = (await _fetch(connection, everybody))[0][0]
            counts: Counter[str | None] = Counter()
            if source.time_zone is not None:
                number = sa.func.count()
                each = sa.select(source.time_zone, number).select_from(source.table).where(*conditions)
                each = each.group_by(source.time_zone).order_by(number.desc()).limit(MOST_ZONES)
                for said, found in await _fetch(connection, each):
                    counts.update(dict.fromkeys(values.short_texts([said], LONGEST_ZONE), found))
        counts[None] += count - counts.total()
        return +counts

    async def known(self, names: Collection[str]) -> list[str]:
        if not names:
            return []
        async with self._reading() as connection:
            return [name for name in names if await checks.is_known(connection, self._source, name)]

    async def ranges(self, parts: int) -> list[Range]:
        key = self._source.id
        async with self._reading() as connection:
            selected = await self._selected(connection)
            ends = await self._ends(connection, selected)
            if ends is None:
                return []
            first, last, kind = ends
            cuts: list[Key] = []
            if parts > 1 and not await self._is_small(connection, selected):
                for guess in kind.between(first, last, parts):
                    above = self._source.above(cuts[-1]) if cuts else sa.true()
                    bounds = (key >= parameter("guess", guess), above, key < parameter("last", last))
                    cuts += [row[0] for row in await self._keys(connection, *selected, *bounds)]
        cursors = [_cursor(cut) for cut in (*cuts, last)]
        return [Range(after=after, upto=upto) for after, upto in zip([None, *cursors], cursors, strict=False)]

    async def page(self, part: Range, limit: int, wanted: Wanted, lanes: Collection[str] | None = None) -> Page:
        source = self._source
        async with self._reading() as connection:
            conditions = [*await self._selected(connection), source.up_to(_key(part.upto))]
            if part.after is not None:
                conditions.append(source.above(_key(part.after)))
            if lanes is not None:
                conditions.append(source.on_lanes(lanes))
            rows, unreadable = await self._rows(connection, wanted, conditions, limit + 1)
        return self._page(rows, limit, wanted, unreadable)

    async def find(self, keys: Sequence[str], wanted: Wanted) -> Page:
        """See the contract. What isn't like a key of this audience isn't found.

        More than `AT_ONCE` keys are asked for in parts, and come in key order within each of these.
        """
        rows: list[_Row] = []
        unreadable: dict[Key, str] = {}
        distinct = list(dict.fromkeys(keys))
        async with self._reading() as connection:
            for start in range(0, len(distinct), AT_ONCE):
                some = await self._among(connection, distinct[start : start + AT_ONCE])
                found, bad = await self._rows(connection, wanted, [self._source.member, some], 2 * AT_ONCE)
                rows += found
                unreadable |= bad
        return self._page(rows, len(rows), wanted, unreadable)

    async def aclose(self) -> None:
        """Nothing: the database belongs to whoever opened it."""

    # reading

    @property
    def _is_part(self) -> bool:
        """Whether not everybody is selected."""
        selection = self._selection
        return bool(selection.filters) or selection.segment is not None or selection.only is not None

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        setting = self._source.setting
        try:
            async with self._database.read() as connection:
                try:
                    yield connection
                except DBAPIError as error:
                    if mistake := checks.mistake(error):
                        raise InvalidAudience(f"{setting}: the database says: {mistake}") from error
                    raise
                except checks.Unreadable as error:
                    raise InvalidAudience(f"{setting}: a value in it cannot be read: {error}") from error
        except StoreUnavailable as error:
            raise AudienceUnavailable(f"{setting}: {error}") from error
        except (InvalidConfiguration, StoreOutdated) as error:
            raise InvalidAudience(f"{setting}.url: {error}") from error

    async def _selected(self, connection: AsyncConnection) -> list[Element]:
        """The conditions of being in the audience and selected."""
        conditions = [self._source.member, *self._source.matches(self._selection.filters.items())]
        if self._selection.segment is not None:
            conditions.append(await self._segment_of(connection))
        if self._selection.only is not None:
            conditions.append(await self._among(connection, self._selection.only))
        return conditions

    async def _segment_of(self, connection: AsyncConnection) -> Element:
        """The condition of the selection's segment."""
        if self._segment is None:
            said, at = self._selection.segment, self._selection.segment_at
            assert said is not None, "asked for only where there is one"
            now = time.time() if at is None else at
            self._segment = await segment_condition(connection, self._source, segment_tree(said), now)
        return self._segment

    async def _among(self, connection: AsyncConnection, keys: Iterable[str]) -> Element:
        if self._kind is None and (ends := await self._ends(connection, [self._source.member])) is not None:
            self._kind = ends[2]
        return self._source.one_of(_parse(keys, self._kind)) if self._kind and keys else sa.false()

    async def _ends(self, connection: AsyncConnection, conditions: Sequence[Element]) -> tuple[Key, Key, Kind] | None:
        """The first key, the last, and their kind; None where there is none.

        Raises:
            InvalidAudience: they are of no kind that can be a key.
        """
        key = self._source.id
        keys = sa.select(key).where(*conditions).limit(1)
        ends = (keys.order_by(key).scalar_subquery(), keys.order_by(key.desc()).scalar_subquery())
        ((low, high),) = await _fetch(connection, sa.select(*ends))
        return None if low is None else (low, high, checks.kind_of_keys(self._source, low, high))

    async def _keys(self, connection: AsyncConnection, *conditions: Element) -> Sequence[_Row]:
        """The first key that fulfils the conditions, if any."""
        key = self._source.id
        return await _fetch(connection, sa.select(key).where(*conditions).order_by(key).limit(1))

    async def _is_small(self, connection: AsyncConnection, conditions: Sequence[Element]) -> bool:
        some = sa.select(self._source.id).where(*conditions).limit(FEW + 1).subquery()
        count = await _fetch(connection, sa.select(sa.func.count()).select_from(some))
        return bool(count[0][0] <= FEW)

    async def _group(self, connection: AsyncConnection, conditions: Sequence[Element]) -> Sequence[_Row]:
        """(channel, app, installations) for each pair that there is."""
        source = self._source
        columns = [column for column in (source.channel, source.app) if column is not None]
        statement = sa.select(sa.func.count(), *columns).select_from(source.table).where(*conditions)
        found = []
        for count, *said in await _fetch(connection, statement.group_by(*columns) if columns else statement):
            channel = said.pop(0) if source.channel is not None else None
            found.append((channel, said[0] if said else None, count))
        return found

    async def _grouped(self, *, anew: bool) -> Sequence[_Row]:
        """The selected as `_group` counts them; as they were counted last unless that is to be done anew."""
        if anew or self._groups is None:
            async with self._reading() as connection:
                self._groups = await self._group(connection, await self._selected(connection))
        return self._groups

    def _by_lane(self, groups: Sequence[_Row]) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for channel, app, count in groups:
            counts[self._source.lane(channel, app)] += count
        return {lane: count for lane, count in counts.items() if count}

    def _columns(self, wanted: Wanted) -> list[tuple[str, Element]]:
        """What is read of each installation, in this order, and what it is for: its role, or `attributes`."""
        source = self._source
        columns = [("id", source.id), ("address", source.address)]
        roles = [("channel", source.channel), ("app", source.app), ("registered_at", source.registered_at)]
        if wanted.language:
            roles.append(("language", source.language))
        if wanted.zone:
            roles.append(("time_zone", source.time_zone))
        columns += [(role, column) for role, column in roles if column is not None]
        _, elements, inside = source.wanted_variables(wanted)
        columns += [("attributes", element) for element in elements]
        if inside:
            columns.append(("attributes", source.table.c[source.json_column or ""]))
        return columns

    async def _rows(
        self, connection: AsyncConnection, wanted: Wanted, conditions: Sequence[Element], limit: int
    ) -> tuple[list[_Row], dict[Key, str]]:
        """The rows that fulfil the conditions; and by their keys those that cannot be read, and why. Of these the row
        has the key, and the lane if that can be read."""
        columns = [column for _, column in self._columns(wanted)]
        try:
            return await self._read(connection, columns, conditions, limit), {}
        except checks.Unreadable:
            unreadable: dict[Key, str] = {}
            try:
                found = await self._read(connection, [self._source.id], conditions, limit)
            except checks.Unreadable as error:
                raise InvalidAudience(
                    f"{self._source.setting}: a row cannot be read or left out, as its key or a condition on it fails: "
                    f"{error}. Fix that row, or the audience."
                ) from error
            return await self._read_around(connection, wanted, [row[0] for row in found], unreadable), unreadable

    async def _read_around(
        self, connection: AsyncConnection, wanted: Wanted, keys: Sequence[Key], unreadable: dict[Key, str]
    ) -> list[_Row]:
        """The rows with these keys, by halves, down to each that cannot be read; it is noted in `unreadable`.

        Raises: InvalidAudience: too many cannot.
        """
        columns = self._columns(wanted)
        try:
            return await self._read(
                connection, [column for _, column in columns], [self._source.one_of(keys)], len(keys)
            )
        except checks.Unreadable as error:
            if len(keys) > 1:
                half = len(keys) // 2
                rows = await self._read_around(connection, wanted, keys[:half], unreadable)
                return rows + await self._read_around(connection, wanted, keys[half:], unreadable)
            where, why = await self._fault(connection, columns, keys[0]) or (self._source.setting, error)
            if len(unreadable) >= MOST_UNREADABLE:
                raise InvalidAudience(
                    f"{where}: more than {MOST_UNREADABLE} installations cannot be read, {keys[0]} among them: {why}"
                ) from error
            unreadable[keys[0]] = f"{where} cannot be read: {why}"
            bare = [column if role in ("id", "channel", "app") else sa.null() for role, column in columns]
            try:
                return await self._read(connection, bare, [self._source.one_of(keys)], 1)
            except checks.Unreadable:
                return [(keys[0], *[None] * (len(columns) - 1))]

    async def _fault(
        self, connection: AsyncConnection, columns: Sequence[tuple[str, Element]], key: Key
    ) -> tuple[str, checks.Unreadable] | None:
        """The setting of the first of the columns that cannot be read of an installation, and why."""
        for role, column in columns:
            try:
                await self._read(connection, [column], [self._source.one_of([key])], 1)
            except checks.Unreadable as error:
                return self._source.setting_of(role, column), error
        return None

    async def _read(
        self, connection: AsyncConnection, columns: Sequence[Element], conditions: Sequence[Element], limit: int
    ) -> list[_Row]:
        """Raises: Unreadable: a row holds what cannot be read. Whatever is wrong without any row is raised as it is."""
        # The label: a column that is asked for twice must come twice.
        named = [column.label(f"c{number}") for number, column in enumerate(columns)]
        statement = sa.select(*named).where(*conditions).order_by(self._source.id)
        try:
            return await _fetch(connection, statement.limit(limit))
        except DBAPIError as error:
            if (said := checks.mistake(error)) is None:
                raise
            await connection.rollback()  # PostgreSQL does nothing more in a transaction in which something failed
            await _fetch(connection, statement.limit(0))
            raise checks.Unreadable(said) from error

    # rows into columns

    def _page(self, rows: list[_Row], limit: int, wanted: Wanted, unreadable: Mapping[Key, str]) -> Page:
        """The page that the first `limit` rows make; one more row says that the range goes on."""
        source = self._source
        if not rows:
            return Page(keys=[], addresses=[], lanes=[])
        beyond = rows.pop() if len(rows) > limit else None
        columns = iter(list(zip(*rows, strict=True)))
        keys = next(columns)
        for pair in zip(keys, islice(keys, 1, None), strict=False) if any(map(eq, keys, islice(keys, 1, None))) else ():
            if pair[0] == pair[1]:
                raise checks.not_unique(source, pair[0])
        if beyond is not None and beyond[0] == keys[-1]:
            raise checks.not_unique(source, keys[-1])
        kind = checks.kind_of_keys(source, keys[0], keys[-1])
        addresses = values.addresses(next(columns))
        lanes = self._lanes(
            next(columns) if source.channel is not None else None, next(columns) if source.app is not None else None
        )
        registered_at = values.epochs(next(columns)) if source.registered_at is not None else None
        languages = None
        if wanted.language:
            said = next(columns) if source.language is not None else (None,) * len(keys)
            languages = [str(language).strip() or None if language else None for language in said]
        zones = None
        if wanted.zone and source.time_zone is not None:
            zones = values.short_texts(next(columns), LONGEST_ZONE)
        names = texts(keys, kind)
        refused = (
            {name: unreadable[key] for name, key in zip(names, keys, strict=True) if key in unreadable}
            if unreadable
            else {}
        )
        variables = self._variables(list(columns), names, wanted, refused) if wanted.variables else None
        return Page(
            keys=names,
            addresses=addresses,
            lanes=lanes,
            registered_at=registered_at,
            languages=languages,
            zones=zones,
            variables=variables,
            cursor=_cursor(keys[-1]) if beyond is not None else None,
            refused=refused,
        )

    def _lanes(self, channels: _Row | None, apps: _Row | None) -> list[str] | str:
        """The lane of each row, looked up once for each pair that occurs."""
        lane = self._source.lane
        channels, apps = _hashable(channels), _hashable(apps)
        if channels is None and apps is None:
            return lane(None, None)
        if channels is not None and apps is not None:
            pairs: Sequence[Any] = list(zip(channels, apps, strict=True))
            table = {pair: lane(*pair) for pair in set(pairs)}
        elif channels is not None:
            pairs = channels
            table = {channel: lane(channel, None) for channel in set(channels)}
        else:
            pairs = apps or ()
            table = {app: lane(None, app) for app in set(pairs)}
        found = set(table.values())
        return found.pop() if len(found) == 1 else list(map(table.__getitem__, pairs))

    def _variables(
        self, columns: list[_Row], keys: Sequence[bytes], wanted: Wanted, refused: dict[bytes, str]
    ) -> list[dict[str, Any]]:
        """What templates are told of each row. Whose value cannot be carried is noted in `refused`, by key."""
        names, _, inside = self._source.wanted_variables(wanted)
        columns, json = (columns[:-1], columns[-1]) if inside else (columns, None)
        shown = [values.shown(column) for column in columns]
        for name, column in zip(names, shown, strict=True):
            for key, value in zip(keys, column, strict=True):
                if isinstance(value, values.Unusable):
                    refused.setdefault(key, f"its {name} {value}")
        found = [dict(zip(names, row, strict=True)) for row in zip(*shown, strict=True)] or [{} for _ in keys]
        if json is not None:
            for key, variables, text in zip(keys, found, json, strict=True):
                try:
                    variables.update(values.shown_object(text, inside))
                except values.Unusable as why:
                    refused.setdefault(key, str(why))
        return found


async def _fetch(connection: AsyncConnection, statement: sa.Executable) -> list[_Row]:
    """The rows as the driver made them: SQLAlchemy's own rows would cost as much again as reading them did."""
    with checks.decoding():
        result = await connection.execute(statement)
        # An async result is buffered: its cursor holds all rows, and gives them without waiting.
        rows: list[_Row] = cast("Any", result).cursor.fetchall()
        result.close()
        return rows


def _cursor(key: Key) -> str:
    kind = kind_of(key)
    assert kind is not None, "kinds are checked before"
    return kind.cursor(key)


def _key(cursor: str) -> Key:
    try:
        return read_cursor(cursor)
    except ValueError:
        raise InvalidAudience("The place in the audience where to go on cannot be read.") from None


def _parse(keys: Iterable[str], kind: Kind) -> list[Key]:
    found = []
    for text in keys:
        try:
            found.append(kind.from_text(text))
        except ValueError:
            continue  # no key of this audience looks like that
    return found


def _hashable(column: _Row | None) -> _Row | None:
    """A column as it is, or as text where it holds lists, say, of which none means a channel or an app."""
    try:
        set(column or ())
    except TypeError:
        return list(map(str, column or ()))
    return column
