"""What of an audience's settings becomes which SQL: its FROM, its columns, its conditions, its lanes. Pure.

Rules: columns and keys have no SQLAlchemy type, so values are what the driver gives and takes, and the database itself
says what a parameter must be. What is configured as text (filters) is compared as a literal, which every database
reads as the column's own type.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.types import NULLTYPE

from stentor.audience.contract import NO_LANE, Condition, Routes, Wanted, role_of
from stentor.audience.keys import Key
from stentor.config import AudienceConfig
from stentor.errors import InvalidAudience

Element = sa.ColumnElement[Any]
SHOWN = 30
"""Names that are told at most."""
LONGEST_SAID = 20
"""Characters of a value that is told whole."""
_SPACE = " \t\r\n"
ROLES = ("id", "channel", "app", "language", "time_zone", "registered_at")
"""The parts of an installation that filters and templates may name; its address is none of their business."""


class Source:
    """An audience's table or query, and what its columns mean."""

    def __init__(
        self, setting: str, settings: AudienceConfig, routes: Routes, dialect: str, json_column: str | None = None
    ) -> None:
        """Args:
        setting: where it stands in the configuration, for error messages: `audiences.users`.
        dialect: of the database.
        json_column: the column of further attributes, a JSON object as text.
        """
        self.setting = setting
        self.settings = settings
        self.routes = routes
        self.json_column = json_column
        self.dialect = dialect
        columns = settings.columns
        roles = {role: getattr(columns, role) for role in ROLES}
        self.columns: dict[str, str] = {name: name for name in (*roles.values(), *columns.attributes) if name}
        self.columns |= {role: name for role, name in roles.items() if name and role not in columns.attributes}
        """What filters and templates may name -> the column."""
        names = dict.fromkeys([columns.address, *self.columns.values(), *([json_column] if json_column else [])])
        self.table = _from(settings, list(names))
        self.id = self._column(columns.id)
        self.address = self._column(columns.address)
        self.channel = self._column(columns.channel) if columns.channel else None
        self.app = self._column(columns.app) if columns.app else None
        self.registered_at = self._column(columns.registered_at) if columns.registered_at else None
        self.language = self._column(columns.language) if columns.language else None
        self.time_zone = self._column(columns.time_zone) if columns.time_zone else None

    def __repr__(self) -> str:
        return f"<Source {self.setting}: {self.name}>"

    @property
    def name(self) -> str:
        """For people."""
        return f"the table {self.settings.table}" if self.settings.table else "the query"

    def _column(self, name: str) -> Element:
        return self.table.c[name]

    def setting_of(self, role: str, column: Element) -> str:
        """Where a column stands in the configuration, and what it is called where that doesn't say it."""
        name = cast("sa.ColumnClause[Any]", column).name
        return f"{self.setting}.columns.{role}: {name}"

    def value(self, name: str) -> Element | None:
        """The column that a filter or template means by `name`; None where it must be an attribute in the JSON.

        Raises:
            InvalidAudience: there is none.
        """
        if name in self.columns:
            return self._column(self.columns[name])
        if self.json_column is not None:
            return None
        nearest = nearest_to(name, self.columns)
        raise InvalidAudience(
            f"{self.setting} has no column or attribute {name!r}; {nearest}. A column that filters or templates need "
            f"is listed in {self.setting}.columns.attributes."
        )

    @cached_property
    def member(self) -> Element:
        """That a row is an installation of this audience, whoever is selected of it."""
        if not self.settings.where:
            return self.id.is_not(None)
        return sa.and_(self.id.is_not(None), self.where)

    @property
    def where(self) -> Element:
        # The line feed: a comment at the end of it must not hide the parenthesis.
        return sa.literal_column(f"({self.settings.where or '1 = 1'}\n)", sa.Boolean)

    def matches(self, filters: Iterable[tuple[str, Sequence[str] | Condition]]) -> list[Element]:
        """The conditions that filters make.

        Raises:
            InvalidAudience: one names what isn't there.
        """
        return [self._matches(name, wanted) for name, wanted in filters]

    def _matches(self, name: str, wanted: Sequence[str] | Condition) -> Element:
        if not isinstance(wanted, Condition):
            return self._is_said(name, wanted)
        found: list[Element] = []
        if wanted.values or wanted.prefixes:
            some = [self._is_said(name, wanted.values)] if wanted.values else []
            found.append(sa.or_(*some, *(self._begins(name, prefix) for prefix in wanted.prefixes)))
        if wanted.none_of:
            found.append(_not(self._is_said(name, wanted.none_of)))
        return sa.and_(sa.true(), *found)

    @property
    def channel_names(self) -> Element:
        """The channel of each installation, by the name it has here, whatever its column says for it."""
        assert self.channel is not None
        said = sa.func.trim(sa.cast(self.channel, sa.Text), _SPACE)
        known = [(said == raw, sa.literal(means, sa.String)) for raw, means in self.settings.channels.items()]
        empty = (sa.or_(self.channel.is_(None), said == ""), sa.literal(self.settings.channel, sa.String))
        return sa.case(empty, *known, else_=said)

    def json(self) -> Element:
        """The column of further attributes."""
        assert self.json_column is not None
        return self._column(self.json_column)

    def _is_said(self, name: str, values: Sequence[str]) -> Element:
        """That a column or attribute has one of these values."""
        column = self.value(name)
        if name == "channel" and self.channel is not None:
            wanted = [raw for value in values for raw in self._said_for(value)]
            return self._is_one_of(self.channel, {*wanted, *values}, self.settings.channel)
        if column is None:
            return self._json_text(name).in_(values)
        return column.in_([literal for value in values for literal in self._literals(value)])

    def _begins(self, name: str, prefix: str) -> Element:
        """That it begins so: in the same case, whatever the database's LIKE says of that."""
        column = self.value(name)
        said = self._json_text(name) if column is None else sa.cast(column, sa.Text)
        return sa.func.substr(said, 1, len(prefix)) == sa.literal(prefix, sa.String)

    def _literals(self, value: str) -> list[Element]:
        found: list[Element] = [sa.literal(value, sa.String, literal_execute=True)]
        if self.dialect == "sqlite":  # compares by what a value is, not by what it looks like
            number = {"true": 1, "false": 0}.get(value)
            if number is None:
                try:
                    number = int(value)
                except ValueError:
                    return found
            found.append(sa.literal(number, sa.BigInteger))
        return found

    def _json_text(self, name: str) -> Element:
        """An attribute as text, whatever it is in the JSON."""
        column = self._column(self.json_column or "")
        if self.dialect == "postgresql":  # which cannot give out text with a NUL, and gives no row then
            without = sa.func.replace(column, r"\u0000", r"\ufffd")
            attribute: Element = sa.cast(without, sa.JSON)[name].as_string()
            return attribute
        path = '$."' + name.replace('"', "") + '"'
        kind = sa.func.json_type(column, path)
        return sa.case((kind.in_(["true", "false"]), kind), else_=sa.cast(sa.func.json_extract(column, path), sa.Text))

    def has_attribute(self, name: str) -> Element:
        """That an attribute of this name seems to be in an installation's JSON, which is looked at as a text: one that
        cannot be read must not hide all others."""
        assert self.json_column is not None
        text = sa.cast(sa.column(self.json_column), sa.Text)
        return text.contains(f'"{name}":', autoescape=True)

    def above(self, key: Key) -> Element:
        return self.id > parameter("after", key)

    def up_to(self, key: Key) -> Element:
        return self.id <= parameter("upto", key)

    def one_of(self, keys: Sequence[Key]) -> Element:
        return self.id.in_(sa.bindparam("keys", list(keys), type_=NULLTYPE, expanding=True))

    def lane(self, channel: object, app: object) -> str:
        """The lane of an installation of which the database says this."""
        said = _said(channel) or self.settings.channel
        name = _said(app) or self.settings.app
        return self.routes.lane(self.settings.channels.get(said, said) if said else None, name)

    def said(self, channel: object, app: object) -> str:
        """What a row says of its channel and app, for people: `platform` 'windows'."""
        told = ((self.settings.columns.channel, channel), (self.settings.columns.app, app))
        return " and ".join(_quoted(name, value) for name, value in told if name) or "no column that says its app"

    def on_lanes(self, lanes: Collection[str]) -> Element:
        """That an installation goes to one of these lanes; the same as `lane`, in SQL."""
        pairs = {
            lane: [pair for pair, its in self.routes.lanes.items() if its == lane]
            for lane in {*self.routes.lanes.values()}
        }
        wanted = [self._goes_by(*pair) for lane in pairs if lane in lanes for pair in pairs[lane]]
        if NO_LANE in lanes:
            known = sa.or_(sa.false(), *(self._goes_by(*pair) for pair in self.routes.lanes))
            wanted.append(_not(known))
        return sa.or_(sa.false(), *wanted)

    def _goes_by(self, channel: str, app: str | None) -> Element:
        return sa.and_(
            self._is_one_of(self.channel, self._said_for(channel), self.settings.channel),
            self._is_one_of(self.app, {app}, self.settings.app),
        )

    def _said_for(self, channel: str) -> set[str | None]:
        """What the channel column says for a channel."""
        said: set[str | None] = {raw for raw, means in self.settings.channels.items() if means == channel}
        return said if channel in self.settings.channels else {*said, channel}

    @staticmethod
    def _is_one_of(column: Element | None, values: Collection[str | None], default: str | None) -> Element:
        """That a column says one of these; where it is NULL or empty, it says the default."""
        if column is None:
            return sa.true() if default in values else sa.false()
        # It may be a number or an enumeration, which takes none but its own words.
        said = sa.func.trim(sa.cast(column, sa.Text), _SPACE)
        empty = sa.or_(column.is_(None), said == "") if default in values else sa.false()
        return sa.or_(said.in_(sorted(value for value in values if value)), empty)

    def wanted_variables(self, wanted: Wanted) -> tuple[list[str], list[Element], list[str]]:
        """Which of the variables are columns, those columns, and which are in the JSON."""
        names, elements, inside = [], [], []
        for name in wanted.variables:
            if (role := role_of(name)) is not None:
                if said := getattr(self.settings.columns, role):
                    names.append(name)
                    elements.append(self._column(said))
                continue
            column = self.value(name)
            if column is None:
                inside.append(name)
            else:
                names.append(name)
                elements.append(column)
        return names, elements, inside


def _not(condition: Element) -> Element:
    """By CASE: where a column is NULL, so is the comparison, and so is its negation."""
    negated: Element = sa.case((condition, sa.literal_column("0")), else_=sa.literal_column("1")) == 1
    return negated


def _said(value: object) -> str:
    """What a column of channels or apps says, without the space with which a column of a fixed width is filled."""
    return "" if value is None else str(value).strip()


def _quoted(column: str, value: object) -> str:
    """Of a long value only the beginning: the column may be one of addresses."""
    said = _said(value)
    if not said:
        return f"an empty `{column}`"
    return f"`{column}` {said if len(said) <= LONGEST_SAID else said[: LONGEST_SAID // 2] + '…'!r}"


def parameter(name: str, key: Key) -> sa.BindParameter[Any]:
    """A key as a parameter that the database itself types, by what it is compared with."""
    return sa.bindparam(name, key, type_=NULLTYPE, unique=True)


def nearest_to(name: str, known: Iterable[str]) -> str:
    """What to say of a name that isn't known: which are, and one that is spelt nearly like it."""
    names = sorted(set(known))
    if not names:
        return "there is none"
    near = [f"the nearest is {each}" for each in difflib.get_close_matches(name, names, n=1, cutoff=0.55)]
    there = f"there {'are' if len(names) > 1 else 'is'} {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
    return "; ".join([*near, there])


def _from(settings: AudienceConfig, names: Sequence[str]) -> sa.FromClause:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in names]
    if settings.query is not None:
        # A colon is no parameter here, and a comment at the end must not hide what follows.
        query = settings.query.strip().rstrip(";").replace(":", "\\:") + "\n"
        return sa.text(query).columns(*columns).subquery("audience")
    schema, _, table = (settings.table or "").rpartition(".")
    return sa.table(table, *columns, schema=schema or None)
