"""What must hold for a row of an imported file, and the registration that it makes. Pure.

A row that breaks a rule is refused with a reason for people; the reason's first words are always the same for the same
rule, so that refusals can be counted by them. What isn't needed to reach somebody refuses nobody: a language, a time or
an attribute that cannot be read is left out, and counted. No reason holds an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from stentor import languages
from stentor.audience.registry import Registration
from stentor.audience.values import Unusable, address_of, epochs, show
from stentor.channels import BadAddress, find
from stentor.store.text import UNSTORABLE
from stentor.zones import zone_of

FIELDS = ("id", "address", "channel", "app", "language", "time_zone", "registered_at")
"""What a row may say of an installation; all else is an attribute. `attributes` may hold more, as a JSON object."""
_NO_ATTRIBUTES = frozenset({*FIELDS, "attributes"})
SAME = MappingProxyType({"token": "address", "timezone": "time_zone"})
"""Other names of these."""
LONGEST_ID = 512
"""Characters."""
NEEDED = ("id", "address", "channel", "app")
"""What of these it takes to reach somebody."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*", re.ASCII)
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""As JSON writes it: after no backslash, or an even number of them."""


class RowRefused(ValueError):
    """A row that cannot be imported. The message is the rule it breaks; `detail` says more of this one."""

    def __init__(self, field: str, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.field = field
        """The one at fault."""
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Dropped:
    """A value of an imported row that could not be read, and isn't needed."""

    field: str
    rule: str
    """The same words for the same fault."""
    detail: str


@dataclass(frozen=True, slots=True)
class Picked:
    """What a file's columns are: a name here (one of FIELDS, `attributes`, or of an attribute), and by the same
    position which of the columns it is read from. A column may be several of them: an id that is the address, say."""

    names: tuple[str, ...]
    columns: tuple[int, ...]
    meanings: Mapping[str, Mapping[str, str]]
    """By name, what the words that stand there mean, where somebody said so."""

    def row(self, values: Sequence[Any]) -> dict[str, Any]:
        """What a row says, by these names; `values` are its columns'."""
        row = dict(zip(self.names, map(values.__getitem__, self.columns), strict=True))
        for name, words in self.meanings.items():
            if isinstance(word := row[name], str | int):
                row[name] = words.get(str(word).strip(), word)
        return row


class ColumnMapping:
    """Which column of a file is what, and what holds for rows that don't say it themselves."""

    def __init__(
        self,
        columns: Mapping[str, str] = MappingProxyType({}),
        *,
        channel: str | None = None,
        app: str | None = None,
        values: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> None:
        """Args:
        columns: name here (a field, or an attribute) -> column of the file.
        channel: of the rows that name none; so is `app`.
        values: column of the file, or name here -> what stands there -> what it means.
        """
        self.channel = channel
        self.app = app
        self.named: Mapping[str, str] = {SAME.get(name, name): column for name, column in columns.items()}
        """Name here -> column of the file, where somebody said so."""
        self.values = values

    @property
    def apps(self) -> list[str]:
        """The apps that somebody named for rows, not those that are named in the file."""
        mapped = [
            words.values()
            for column, words in self.values.items()
            if column.strip().lower() == "app" or column == self.named.get("app")
        ]
        return [*([self.app] if self.app else []), *(app for words in mapped for app in words)]

    def pick(self, columns: Sequence[str]) -> Picked:
        """What each of a file's columns is."""
        said: dict[str, list[str]] = {}
        for name, column in self.named.items():
            said.setdefault(column, []).append(name)
        pairs = [
            (name, position)
            for position, column in enumerate(columns)
            for name in said.get(column) or [self._name(column)]
        ]
        names = [name for name, _ in pairs]
        if self.channel is None and "channel" not in names:  # a column whose words are mapped can be little else
            mapped = [name for name in names if name in self.values and name not in FIELDS]
            names = ["channel" if [name] == mapped else name for name in names]
        meanings = {}
        for name, (was, position) in zip(names, pairs, strict=True):
            if words := {**self.values.get(was, {}), **self.values.get(columns[position], {})}:
                meanings[name] = words
        return Picked(tuple(names), tuple(position for _, position in pairs), meanings)

    def _name(self, column: str) -> str:
        plain = column.strip()
        lower = SAME.get(plain.lower(), plain.lower())
        taken = lower in self.named  # what somebody said wins
        return lower if lower in (*FIELDS, "attributes") and not taken else plain


class RowReader:
    """Makes registrations of rows, by the rules above."""

    def __init__(
        self, mapping: ColumnMapping, channels: frozenset[str], apps: Mapping[str, Collection[str]] | None = None
    ) -> None:
        """Args:
        apps: by channel those that a row may name; None: any.
        """
        self._mapping = mapping
        self._channels = channels
        self._apps = apps
        self._checks: dict[str, Callable[[str], BadAddress | None]] = {}
        """Of addresses, by channel."""

    def registration(self, row: Mapping[str, Any]) -> tuple[Registration, list[Dropped]]:
        """The registration that a row (by `pick`) makes, and what of the row could not be read and isn't needed.

        Raises:
            RowRefused: it breaks a rule.
        """
        key, address = _text("id", row.get("id")), _address(row.get("address"))
        app, channel = _text("app", row.get("app")), _text("channel", row.get("channel"))
        said = (key, address, channel, app)
        if key is None:
            raise RowRefused("id", "no id")
        if len(key) > LONGEST_ID or not key.isprintable():
            raise RowRefused("id", "malformed id", f"longer than {LONGEST_ID} characters, or with unprintable ones")
        channel = channel or self._mapping.channel
        if channel is None:
            raise RowRefused("channel", "no channel", "say on which channel it is")
        if channel not in self._channels:
            known = ", ".join(sorted(self._channels))
            raise RowRefused(
                "channel", "unknown channel", f"{channel[:20]!r}; known are {known}; use --map to say what a word means"
            )
        app = app or self._mapping.app
        if app is not None and self._apps is not None and app not in (there := self._apps.get(channel, ())):
            known = f"{channel} has {', '.join(sorted(there))}" if there else f"no app of {channel} is configured"
            raise RowRefused("app", "unknown app", f"{app[:40]!r}; {known}")
        if address is None:
            raise RowRefused("address", "no address")
        for name, text in zip(NEEDED, said, strict=True):
            if text is not None and not (text.isascii() and "\0" not in text) and UNSTORABLE.search(text):
                raise RowRefused(
                    name, f"malformed {name.replace('_', ' ')}", "it holds a NUL, or bytes that are not text"
                )
        check = self._checks.get(channel) or self._checks.setdefault(channel, find(channel).check_address)
        if (bad := check(address)) is not None:
            raise RowRefused("address", bad.rule, bad.detail)
        left_out: list[Dropped] = []
        registration = Registration(
            id=key,
            channel=channel,
            address=address,
            app=app,
            language=_language(row.get("language"), left_out),
            time_zone=_time_zone(row.get("time_zone"), left_out),
            attributes=_attributes(row, left_out),
            registered_at=_registered_at(row.get("registered_at"), left_out),
        )
        return registration, left_out


def _language(value: object, left_out: list[Dropped]) -> str | None:
    if value is None:
        return None
    written = value.strip() if isinstance(value, str) else ""
    if (isinstance(value, str) and not written) or _LANGUAGE.fullmatch(written):
        return written or None
    if (found := languages.read(written)) is not None:
        return str(found)
    left_out.append(Dropped("language", "malformed language", f"{written[:20]!r}; expected e.g. de or pt-BR"))
    return None


def _time_zone(value: object, left_out: list[Dropped]) -> str | None:
    """Its name, as it is written everywhere."""
    if (zone := zone_of(value)) is not None:
        return str(zone)
    written = value.strip() if isinstance(value, str) else ""
    if value is not None and (written or not isinstance(value, str)):
        wanted = "expected e.g. Europe/Berlin or GMT+0530"
        left_out.append(Dropped("time_zone", "unknown time zone", f"{written[:40]!r}; {wanted}"))
    return None


def _text(name: str, value: object) -> str | None:
    """A value as text; None where nothing is said."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise RowRefused(name, f"malformed {name.replace('_', ' ')}", f"a {type(value).__name__} instead of text")


def _address(value: object) -> str | None:
    """As `_text`; a subscription may be an object, and bytes may be text."""
    return address_of(value) if value and isinstance(value, bytes | dict) else _text("address", value)


def _registered_at(value: object, left_out: list[Dropped]) -> float | None:
    """Epoch seconds of a number, an ISO time (UTC where it names no zone), or a timestamp."""
    if value is None or value == "":
        return None
    (found,) = epochs([value])
    if not found:
        wanted = "write e.g. 2026-01-31T12:00:00Z, or seconds since 1970, e.g. 1769860800"
        left_out.append(Dropped("registered_at", "not a time", f"{str(value)[:20]!r}; {wanted}"))
    return found or None


def _attributes(row: Mapping[str, Any], left_out: list[Dropped]) -> str | None:
    """All that isn't a field, as a JSON object; empty values are nothing said."""
    found: dict[str, Any] = {}
    given = row.get("attributes")
    if given not in (None, ""):
        try:
            read = msgspec.json.decode(given) if isinstance(given, str) else given
        except (msgspec.DecodeError, RecursionError):
            read = None
        if type(read) is dict:
            found = read
        else:
            left_out.append(Dropped("attributes", "malformed attributes", "expected a JSON object"))
    found = found | {
        name: value for name, value in row.items() if name not in _NO_ATTRIBUTES and value is not None and value != ""
    }
    try:
        return _as_json(found)
    except RowRefused:
        pass  # at least one of them cannot be kept: each by itself, then
    kept = {}
    for name, value in found.items():
        try:
            _as_json({name: value})
        except RowRefused as why:
            left_out.append(Dropped("attributes", why.rule, str(why).removeprefix(f"{why.rule}: ")))
        else:
            kept[name] = value
    return _as_json(kept)


def _as_json(found: Mapping[str, Any]) -> str | None:
    """Raises: RowRefused: one of them cannot be stored."""
    try:
        for value in found.values():
            show(value)
        encoded = msgspec.json.encode(found, order="sorted").decode() if found else None
    except Unusable as why:
        raise RowRefused("attributes", "malformed attributes", f"one {why}") from None
    except (TypeError, ValueError, RecursionError):
        raise RowRefused("attributes", "malformed attributes", "a value that JSON cannot hold") from None
    if encoded is not None and "\\u0000" in encoded and _NUL.search(encoded):  # PostgreSQL could compare none with it
        raise RowRefused("attributes", "malformed attributes", "one holds a NUL")
    return encoded
