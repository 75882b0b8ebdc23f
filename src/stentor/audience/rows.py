"""What must hold for a row of an imported file, and the registration that it makes. Pure.

A row that breaks a rule is refused with a reason for people; the reason's first words are always the same for the same
rule, so that refusals can be counted by them. No reason holds an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from stentor.audience.registry import Registration
from stentor.audience.values import Unusable, address_of, show
from stentor.channels import find
from stentor.store.text import UNSTORABLE

FIELDS = ("id", "address", "channel", "app", "language", "time_zone", "registered_at")
"""What a row may say of an installation; all else is an attribute. `attributes` may hold more, as a JSON object."""
SAME = MappingProxyType({"token": "address", "timezone": "time_zone"})
"""Other names of these."""
LONGEST_ID = 512
"""Characters."""
LATEST = 4_102_444_800.0
"""Epoch seconds of the year 2100. A `registered_at` after it is in milliseconds, or wrong."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*", re.ASCII)
_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")
"""As JSON writes it: after no backslash, or an even number of them."""
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}", re.ASCII)


class RowRefused(ValueError):
    """A row that cannot be imported. The message is the rule it breaks; `detail` says more of this one."""

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule = rule


class ColumnMapping:
    """Which column of a file is what, and what holds for rows that don't say it themselves."""

    def __init__(
        self, columns: Mapping[str, str] = MappingProxyType({}), *, channel: str | None = None, app: str | None = None
    ) -> None:
        """Args:
        columns: name here (a field, or an attribute) -> column of the file.
        channel: of the rows that name none; so is `app`.
        """
        self.channel = channel
        self.app = app
        self.named: Mapping[str, str] = {column: SAME.get(name, name) for name, column in columns.items()}
        """Column of the file -> name here, where somebody said so."""

    def names(self, columns: Iterable[str]) -> list[str]:
        """What each of a file's columns is: one of FIELDS, `attributes`, or the name of an attribute."""
        return [self._name(column) for column in columns]

    def _name(self, column: str) -> str:
        if column in self.named:
            return self.named[column]
        plain = column.strip()
        lower = SAME.get(plain.lower(), plain.lower())
        taken = lower in self.named.values()  # what somebody said wins
        return lower if lower in (*FIELDS, "attributes") and not taken else plain


class RowReader:
    """Makes registrations of rows, by the rules above."""

    def __init__(self, mapping: ColumnMapping, channels: frozenset[str]) -> None:
        self._mapping = mapping
        self._channels = channels
        self._zones: set[str] = set()  # those that exist, so no more than there are

    def registration(self, row: Mapping[str, Any]) -> Registration:
        """The registration that a row (by `names`) makes.

        Raises:
            RowRefused: it breaks a rule.
        """
        said = {name: _text(name, row.get(name)) for name in FIELDS if name not in ("address", "registered_at")}
        said["address"] = _address(row.get("address"))
        key = said["id"]
        if key is None:
            raise RowRefused("no id")
        if len(key) > LONGEST_ID or not key.isprintable():
            raise RowRefused("malformed id", f"longer than {LONGEST_ID} characters, or with unprintable ones")
        channel = said["channel"] or self._mapping.channel
        if channel is None:
            raise RowRefused("no channel", "say --channel if all have the same")
        if channel not in self._channels:
            raise RowRefused("unknown channel", f"{channel[:20]!r}; known are {', '.join(sorted(self._channels))}")
        address = said["address"]
        if address is None:
            raise RowRefused("no address")
        for name, text in said.items():
            if text is not None and UNSTORABLE.search(text):
                raise RowRefused(f"malformed {name.replace('_', ' ')}", "it holds a NUL, or what is no text")
        if (bad := find(channel).check_address(address)) is not None:
            raise RowRefused(bad.rule, bad.detail)
        return Registration(
            id=key,
            channel=channel,
            address=address,
            app=said["app"] or self._mapping.app,
            language=self._language(said["language"]),
            time_zone=self._time_zone(said["time_zone"]),
            attributes=_attributes(row),
            registered_at=_registered_at(row.get("registered_at")),
        )

    @staticmethod
    def _language(language: str | None) -> str | None:
        if language is not None and not _LANGUAGE.fullmatch(language):
            raise RowRefused("malformed language", f"{language[:20]!r}; wanted is e.g. de or pt-BR")
        return language

    def _time_zone(self, zone: str | None) -> str | None:
        if zone is None or zone in self._zones:
            return zone
        try:
            if not _ZONE.fullmatch(zone):
                raise ZoneInfoNotFoundError
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise RowRefused("unknown time zone", f"{zone[:40]!r}; wanted is e.g. Europe/Berlin") from None
        self._zones.add(zone)
        return zone


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
    raise RowRefused(f"malformed {name.replace('_', ' ')}", f"a {type(value).__name__} instead of text")


def _address(value: object) -> str | None:
    """As `_text`; a subscription may be an object, and bytes may be text."""
    return address_of(value) if value and isinstance(value, bytes | dict) else _text("address", value)


def _registered_at(value: object) -> float | None:
    """Epoch seconds of a number, an ISO time (UTC where it names no zone), or a timestamp."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = float(value) if _is_number(value) else datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        value = None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowRefused("malformed registered_at", "wanted are epoch seconds, or e.g. 2026-01-31T12:00:00Z")
    if not 0 <= value < LATEST:
        raise RowRefused("malformed registered_at", "before 1970 or after 2100; wanted are seconds, not milliseconds")
    return float(value)


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).removeprefix("-").isdecimal()


def _attributes(row: Mapping[str, Any]) -> str | None:
    """All that isn't a field, as a JSON object; empty values are nothing said."""
    found: Any = {}
    given = row.get("attributes")
    if given not in (None, ""):
        try:
            found = msgspec.json.decode(given) if isinstance(given, str) else given
        except (msgspec.DecodeError, RecursionError):
            raise RowRefused("malformed attributes", "wanted is a JSON object") from None
        if type(found) is not dict:
            raise RowRefused("malformed attributes", "wanted is a JSON object")
    found = found | {
        name: value
        for name, value in row.items()
        if name not in FIELDS and name != "attributes" and value is not None and value != ""
    }
    try:
        for value in found.values():
            show(value)
        encoded = msgspec.json.encode(found, order="sorted").decode() if found else None
    except Unusable as why:
        raise RowRefused("malformed attributes", f"one {why}") from None
    except (TypeError, ValueError, RecursionError):
        raise RowRefused("malformed attributes", "a value that JSON cannot hold") from None
    if encoded is not None and _NUL.search(encoded):  # PostgreSQL could not compare one with it
        raise RowRefused("malformed attributes", "one holds a NUL")
    return encoded
