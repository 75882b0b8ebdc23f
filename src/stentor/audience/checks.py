"""What is seen to before an audience is read, and what to tell whoever configured it.

Each problem names the setting in `stentor.toml` that is at fault, and what to write instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from stentor.audience.contract import Condition, role_of
from stentor.audience.keys import Key, Kind, kind_of
from stentor.audience.source import Element, Source, nearest_to
from stentor.audience.values import misfit
from stentor.clock import steady
from stentor.errors import InvalidAudience
from stentor.store.text import UNSTORABLE

_SQLITE_MISTAKES = {0, 1, 20}  # none (the driver's own), SQLITE_ERROR (SQL that makes no sense), SQLITE_MISMATCH
_BAD_DATA = "22"
_MISTAKES = (_BAD_DATA, "42", "0A")  # SQLSTATE: that, bad SQL or no right to it, not supported
UNIQUE_FOR = 60.0
"""Seconds for which a table is believed to have the unique index that it had. Whoever reads it sees a key that is there
twice all the same."""
_QUOTED = re.compile(r'"([^"]*)"')


def mistake(error: DBAPIError) -> str | None:
    """What the database says about SQL that it cannot run as it stands; None where the trouble is the database's.

    Of a value that it quotes only the beginning is told: it may be an address.
    """
    cause = error.orig
    if cause is None or error.connection_invalidated:
        return None
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        wrong = state.startswith(_MISTAKES)
    elif type(cause).__module__ == "sqlite3":
        wrong = getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_MISTAKES
    else:
        wrong = isinstance(cause.__cause__, ValueError)  # asyncpg: a key of another type than the column
    if not wrong:
        return None
    said = (str(cause.__cause__ or cause).splitlines() or ["nothing"])[0]
    is_data = isinstance(state, str) and state.startswith(_BAD_DATA)  # else what is quoted are names
    return _QUOTED.sub(_beginning, said) if is_data else said


def _beginning(quoted: re.Match[str]) -> str:
    value = quoted[1]
    return f'"{value[: min(8, len(value) // 2)]}…"' if value else '""'


class UniqueColumns:
    """The columns of one database that have a unique index, as far as it was asked: to ask takes five statements."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], float] = {}  # by table and column, until when that is believed

    async def has(self, connection: AsyncConnection, source: Source) -> bool:
        """Whether the table of a source sees to it that each key is there once."""
        key = (source.settings.table or "", source.settings.columns.id)
        if steady() < self._seen.get(key, -math.inf):
            return True
        self._seen.pop(key, None)
        if not await connection.run_sync(_is_unique, source):
            return False
        self._seen[key] = steady() + UNIQUE_FOR
        return True


class Unreadable(Exception):
    """What some row holds cannot be read: the database cannot compute a column of it (a cast fails, say), or the driver
    cannot make Python's of it (a date before year 1, say)."""


@contextmanager
def decoding() -> Iterator[None]:
    """Whatever the driver cannot read inside is `Unreadable`."""
    try:
        yield
    except (ValueError, OverflowError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    except DBAPIError as error:
        if "Could not decode to UTF-8" in str(error.orig):  # SQLite's driver; it has no code for it
            raise Unreadable("text that is not UTF-8") from error
        raise


@contextmanager
def blaming(setting: str) -> Iterator[None]:
    """Whatever the database finds wrong inside is the fault of `setting`."""
    try:
        yield
    except DBAPIError as error:
        if problem := mistake(error):
            raise InvalidAudience(f"{setting}: the database says: {problem}") from error
        raise


async def check_columns(connection: AsyncConnection, source: Source) -> None:
    """See that the table, or the query, has the columns it should.

    Raises:
        InvalidAudience: as all functions here.
    """
    settings = source.settings
    with blaming(f"{source.setting}.{'table' if settings.table is not None else 'query'}"):
        everything: sa.Select[Any] = sa.select(sa.literal_column("*")).select_from(source.table)
        try:
            result = await connection.execute(everything.limit(0))
        except DBAPIError as error:
            if settings.table is not None and mistake(error):
                await connection.rollback()  # PostgreSQL does nothing more in a transaction in which something failed
                await connection.run_sync(_check_table, source)
            raise
    known = list(result.keys())
    columns = settings.columns
    roles = ("id", "address", "channel", "app", "language", "time_zone", "registered_at")
    for setting, name in [
        *((role, getattr(columns, role)) for role in roles),
        *(("attributes", name) for name in columns.attributes),
    ]:
        if name is not None and not _is_among(name, known, source.dialect):
            raise InvalidAudience(
                f"{source.setting}.columns.{setting}: {source.name} has no column {name}; {nearest_to(name, known)}."
            )


def _is_among(name: str, known: Sequence[str], dialect: str) -> bool:
    if dialect == "sqlite":  # for which a name's case doesn't matter
        return name.lower() in map(str.lower, known)
    return name in known


def _split(source: Source) -> tuple[str | None, str]:
    schema, _, table = (source.settings.table or "").rpartition(".")
    return schema or None, table


def _check_table(connection: Connection, source: Source) -> None:
    schema, table = _split(source)
    inspector = sa.inspect(connection)
    if inspector.has_table(table, schema=schema):
        return
    known = [*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)]
    where = f"the schema {schema}" if schema else "the database"
    raise InvalidAudience(f"{source.setting}.table: {where} has no table {table}; {nearest_to(table, known)}.")


async def check_where(connection: AsyncConnection, source: Source) -> None:
    await connection.execute(sa.select(source.id).where(source.member).limit(1))


async def check_filter(
    connection: AsyncConnection, source: Source, name: str, wanted: Sequence[str] | Condition
) -> None:
    values = [*wanted.values, *wanted.prefixes, *wanted.none_of] if isinstance(wanted, Condition) else wanted
    if any(UNSTORABLE.search(value) for value in values):
        raise InvalidAudience(f"the filter on {name}: a value holds a NUL, or bytes that are not text; leave it out.")
    await connection.execute(sa.select(source.id).where(source.member, *source.matches([(name, wanted)])).limit(1))


async def check_condition(connection: AsyncConnection, source: Source, condition: Element) -> None:
    await connection.execute(sa.select(source.id).where(source.member, condition).limit(1))


def check_values(source: Source, columns: Sequence[tuple[str, Element]], rows: Sequence[Sequence[Any]]) -> None:
    """See that what stands in the columns (each with its role) is of use as what it is said to be."""
    for (role, column), found in zip(columns, zip(*rows, strict=True), strict=bool(rows)):
        if problem := misfit(role, found):
            raise InvalidAudience(f"{source.setting_of(role, column)} {problem}.")


async def check_attributes(connection: AsyncConnection, source: Source, names: Sequence[str]) -> None:
    """See that every attribute is there for somebody at least: in JSON nothing else tells a name that is misspelt."""
    for name in names:
        if role_of(name) is None and source.value(name) is None and not await is_known(connection, source, name):
            raise InvalidAudience(
                f"{source.setting}: no installation has an attribute {name!r}; see how it is spelt in what was "
                "imported."
            )


async def is_known(connection: AsyncConnection, source: Source, name: str) -> bool:
    """Whether a filter or template can name it: a column, or an attribute that somebody has."""
    if (role := role_of(name)) is not None:
        return bool(getattr(source.settings.columns, role))
    if name in source.columns or source.json_column is None:
        return name in source.columns
    statement = sa.select(source.id).where(source.member, source.has_attribute(name)).limit(1)
    return (await connection.execute(statement)).first() is not None


def kind_of_keys(source: Source, first: Key, last: Key) -> Kind:
    """The kind of the keys from `first` to `last`.

    They are the ends in the database's order, so where both are numbers, or both text, all between are.
    """
    kind, other = kind_of(first), kind_of(last)
    setting = f"{source.setting}.columns.id"
    column = source.settings.columns.id
    if kind is None or other is None:
        raise InvalidAudience(
            f"{setting}: {column} holds values of the type {type(first if kind is None else last).__name__}, which "
            "cannot be a key; use a column of numbers, text, UUIDs or times."
        )
    if kind is not other and not {kind.tag, other.tag} <= {"int", "float"}:
        raise InvalidAudience(
            f"{setting}: {column} holds both {kind.tag} and {other.tag} values; a key needs one type."
        )
    return kind if kind is other else next(one for one in (kind, other) if one.tag == "float")


def not_unique(source: Source, key: Key) -> InvalidAudience:
    kind = kind_of(key)
    return InvalidAudience(
        f"{source.setting}.columns.id: {source.settings.columns.id} is not unique: {source.name} has "
        f"{kind.to_text(key) if kind else key} more than once, so installations would be missed. Name a column that "
        "is, or give it a unique index."
    )


async def check_keys(connection: AsyncConnection, source: Source, unique: UniqueColumns) -> None:
    """See that no key is NULL, and that none comes twice: by the table's own word, else by looking."""
    # NULL is not a member, so `where` alone is asked.
    nameless: sa.Select[Any] = (
        sa.select(sa.literal_column("1")).select_from(source.table).where(source.id.is_(None), source.where)
    )
    if (await connection.execute(nameless.limit(1))).first() is not None:
        raise InvalidAudience(
            f"{source.setting}.columns.id: {source.settings.columns.id} is NULL for some rows of {source.name}; "
            f"fill it, or leave them out with {source.setting}.where."
        )
    if source.settings.table is not None and await unique.has(connection, source):
        return
    twice = sa.select(source.id).where(source.member).group_by(source.id).having(sa.func.count() > 1).limit(1)
    rows: Sequence[Any] = (await connection.execute(twice)).all()
    if rows:
        raise not_unique(source, rows[0][0])


def _is_unique(connection: Connection, source: Source) -> bool:
    schema, table = _split(source)
    inspector = sa.inspect(connection)
    key = [source.settings.columns.id.lower()]
    unique = [inspector.get_pk_constraint(table, schema=schema)["constrained_columns"]]
    unique += [constraint["column_names"] for constraint in inspector.get_unique_constraints(table, schema=schema)]
    unique += [
        [name or "" for name in index["column_names"]]
        for index in inspector.get_indexes(table, schema=schema)
        if index["unique"] and not any(option.endswith("_where") for option in index.get("dialect_options", {}))
    ]
    return any([name.lower() for name in names] == key for names in unique)


def wrong_channels(source: Source, groups: Sequence[Sequence[Any]]) -> str | None:
    """What is wrong with the columns of channels and apps if nothing in them can name one. A value that names none
    among others is its row's own matter."""
    for number, role, column in ((0, "channel", source.channel), (1, "app", source.app)):
        known = (str, int, Decimal, UUID)
        found = [pair[number] for *pair, _ in groups if pair[number] is not None]
        strange = [each for each in found if not isinstance(each, known) or isinstance(each, bool)]
        if strange and len(strange) == len(found) and column is not None:
            kind = type(strange[0]).__name__
            return (
                f"{source.setting_of(role, column)} holds values of the type {kind}, which name no {role}; use a column"
                " of text or numbers."
            )
    return None
