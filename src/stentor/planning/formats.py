"""Numbers, moments and plurals as a language writes them, by CLDR. Pure.

Rules: what is written is what Babel would write, but that takes a seventh of a millisecond for one price, so a number's
pattern is taken apart once for each language, tried against Babel's own answers, and then filled without it; if it
can't be taken apart so, Babel writes each. Days and times of day are remembered as written. What cannot be written
raises `Unwritable`, which says what is wrong. Babel is loaded with the first value that is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from datetime import UTC, date, datetime, time, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateRuntimeError

from stentor import languages
from stentor.zones import zone_of

if TYPE_CHECKING:
    from babel import Locale
    from babel.numbers import NumberPattern

DEFAULT_LANGUAGE = "en"
"""Of a text and a reader that say none, or one that CLDR doesn't know."""
LENGTHS = ("short", "medium", "long", "full")
"""Of dates and times, as CLDR has them."""
PLURALS = ("zero", "one", "two", "few", "many", "other")
LARGEST = Decimal(10) ** 30
"""No number that is written is as large."""
MOST_DIGITS = 10
"""After the decimal point."""
LONGEST_QUOTED = 40
"""Characters of a value that an error tells."""
MILLISECONDS_FROM = 10**11
"""Epoch times from here on are milliseconds; as seconds they would be in the year 5138."""
LATEST = 253_402_214_400
"""Epoch seconds of the last day that a calendar of Python has."""
REMEMBERED = 2048
"""Languages of readers with their zones, and days and times of day as they are written."""

_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_TRIED = ("0", "1", "-1", "0.5", "-0.004", "12", "1234", "-1234.5", "12345.678", "1234567.891", "-98765432109")
_ARITHMETIC = Context(prec=60, rounding=ROUND_HALF_EVEN)

Moment = datetime


class Unwritable(TemplateRuntimeError):
    """A value cannot be written as a filter is to write it."""


@lru_cache(REMEMBERED)
def formats_for(text: str, reader: str, zone: str) -> Formats:
    """How a text's numbers and moments are written for somebody.

    Args:
        text: the language that the text is in; empty: nobody said.
        reader: the language of the installation. Its region counts if the text is in that language, so that a text in
            `en` has `30 November` for `en-GB`; and all of it if the text says none.
        zone: the installation's time zone; empty, or junk: none.
    """
    return Formats(_tag(text, reader), zone_of(zone) if zone else None)


def _tag(text: str, reader: str) -> str:
    if not text or not reader:
        return text or reader
    of_text, of_reader = languages.closest(text), languages.closest(reader)
    same = of_text and of_reader and _script(of_text[0]) == _script(of_reader[0])
    return reader if same and not of_text[0].region else text


def _script(tag: languages.Tag) -> tuple[str, str]:
    whole = languages.full(tag)
    return whole.language, whole.script


class Formats:
    """How one language writes numbers and moments, in one time zone."""

    def __init__(self, tag: str, zone: tzinfo | None) -> None:
        self._tag = tag
        self._zone = zone

    @cached_property
    def _locale(self) -> str:
        return _locale_of(self._tag)

    def number(self, value: Any, digits: int | None = None) -> str:
        return _number(self._locale, "", _digits(digits))(_decimal(value))

    def percent(self, value: Any, digits: int | None = None) -> str:
        return _number(self._locale, "%", _digits(digits))(_decimal(value))

    def currency(self, value: Any, code: Any, digits: int | None = None) -> str:
        if not isinstance(code, str) or not _CURRENCY.fullmatch(code):
            raise Unwritable(f"{_quoted(code)} is not a currency's code such as 'EUR'")
        return _number(self._locale, code, _digits(digits))(_decimal(value))

    def plural(self, value: Any, **forms: Any) -> str:
        """The form for a count; `#` in it becomes the count as the language writes it."""
        if wrong := sorted(forms.keys() - set(PLURALS)):
            raise Unwritable(f"`{wrong[0]}` is not a plural form; there are {', '.join(PLURALS)}")
        if "other" not in forms:
            raise Unwritable("the form `other` is missing, which every language has")
        count = _decimal(value)
        name = "zero" if not count and "zero" in forms else _plural(self._locale, count.copy_abs())
        form = forms.get(name, forms["other"])
        if not isinstance(form, str):
            raise Unwritable(f"the form `{name}` is not a text")
        return form.replace("#", self.number(count)) if "#" in form else form

    def date(self, value: Any, length: str = "medium", zone: object = None) -> str:
        return _day(self._locale, _length(length), self._moment(value, zone, "a date").date())

    def time(self, value: Any, length: str = "short", zone: object = None) -> str:
        return self._time(self._moment(value, zone, "a time"), _length(length))

    def datetime(self, value: Any, length: str = "medium", zone: object = None) -> str:
        moment = self._moment(value, zone, "a moment")
        day = _day(self._locale, _length(length), moment.date())
        joined = str(_locale(self._locale).datetime_formats[length])
        return joined.replace("{1}", day).replace("{0}", self._time(moment, length)).replace("'", "")

    def moment(self, value: Any) -> Moment:
        """A moment in the reader's zone."""
        return self._moment(value, None, "a moment")

    def _time(self, moment: Moment, length: str) -> str:
        if length == "short":
            return _time_of_day(self._locale, length, time(moment.hour, moment.minute))
        if length == "medium":
            return _time_of_day(self._locale, length, time(moment.hour, moment.minute, moment.second))
        return _time_with_zone(self._locale, length, moment.replace(microsecond=0))

    def _moment(self, value: Any, zone: object, wanted: str) -> Moment:
        """In the zone that is named, or else the reader's; a day alone is the same in all zones."""
        known = self._zone if zone is None else _named_zone(zone)
        found = _read_moment(value, wanted)
        if not isinstance(found, datetime):
            if wanted != "a date":
                raise Unwritable(f"{_quoted(value)} is a day without a time")
            return datetime.combine(found, time(), UTC)
        try:
            return found if known is None else found.astimezone(known)
        except (OverflowError, ValueError):
            raise Unwritable(f"{_quoted(value)} is beyond the calendar") from None


@lru_cache(REMEMBERED)
def _locale_of(tag: str) -> str:
    """The name of the closest that CLDR has data of."""
    from babel import localedata  # noqa: PLC0415 - see above

    for near in (*languages.closest(tag), languages.Tag(DEFAULT_LANGUAGE)):
        for each in (near, languages.full(near)):
            name = str(each).replace("-", "_")
            if localedata.exists(name):
                return name
    raise AssertionError("CLDR has English")


@cache
def _locale(name: str) -> Locale:
    from babel import Locale  # noqa: PLC0415 - see above

    return Locale.parse(name)


# -- values ----------------------------------------------------------------------------------------------------------


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return repr(value) if len(value) <= LONGEST_QUOTED else f"{value[:LONGEST_QUOTED]!r}…"
    is_short = isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST)
    return repr(value) if is_short else f"a {type(value).__name__}"


def _digits(digits: object) -> int | None:
    if digits is None:
        return None
    if not isinstance(digits, int) or isinstance(digits, bool) or not 0 <= digits <= MOST_DIGITS:
        raise Unwritable(f"{_quoted(digits)} is not a number of digits from 0 to {MOST_DIGITS}")
    return digits


def _named_zone(zone: object) -> tzinfo:
    if (found := zone_of(zone)) is None:
        raise Unwritable(f"{_quoted(zone)} is not a time zone such as 'Europe/Berlin'")
    return found


def _length(length: object) -> str:
    if length not in LENGTHS:
        raise Unwritable(f"{_quoted(length)} is not a length; there are {', '.join(LENGTHS)}")
    return str(length)


def _decimal(value: object) -> Decimal:
    """A number, or a text that is one, as databases give decimals."""
    found: Decimal | None = None
    if isinstance(value, str):
        said = value.strip()
        found = Decimal(said) if _NUMBER.fullmatch(said) else None
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        found = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if found is None or not found.is_finite():
        raise Unwritable(f"{_quoted(value)} is not a number")
    if found.copy_abs() >= LARGEST:
        raise Unwritable(f"{_quoted(value)} is too large a number to write")
    return found


def _read_moment(value: object, wanted: str) -> datetime | date:
    """A moment without a zone is one of UTC, as everywhere in an audience."""
    found: datetime | date | None = None
    if isinstance(value, datetime | date):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value < LATEST * 1000:
            found = datetime.fromtimestamp(value / 1000 if value >= MILLISECONDS_FROM else value, UTC)
    elif isinstance(value, str):
        try:
            found = _read_text(value.strip())
        except ValueError:
            found = None
    if found is None:
        raise Unwritable(f"{_quoted(value)} is not {wanted} such as '2030-01-31T18:00:00Z'")
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) and found.tzinfo is None else found


def _read_text(text: str) -> datetime | date:
    return date.fromisoformat(text) if len(text) <= len("2030-01-31") else datetime.fromisoformat(text)


@lru_cache(REMEMBERED)
def _plural(name: str, count: Decimal) -> str:
    """Which form a count has. `1.00` is written as 1, and so has the form of 1."""
    whole = int(count)
    return _locale(name).plural_form(whole if whole == count else count.normalize())


# -- days and times --------------------------------------------------------------------------------------------------


@lru_cache(REMEMBERED)
def _day(name: str, length: str, day: date) -> str:
    from babel.dates import format_date  # noqa: PLC0415 - see above

    return format_date(day, length, locale=_locale(name))


@lru_cache(REMEMBERED)
def _time_of_day(name: str, length: str, at: time) -> str:
    from babel.dates import format_time  # noqa: PLC0415 - see above

    return format_time(at, length, locale=_locale(name))


@lru_cache(REMEMBERED)
def _time_with_zone(name: str, length: str, moment: datetime) -> str:
    from babel.dates import format_time  # noqa: PLC0415 - see above

    return format_time(moment, length, tzinfo=moment.tzinfo, locale=_locale(name))


# -- numbers ---------------------------------------------------------------------------------------------------------

_Write = Callable[[Decimal], str]


@lru_cache(REMEMBERED)
def _number(name: str, kind: str, digits: int | None) -> _Write:
    """How numbers are written: `%`, a currency's code, or empty for plain ones."""
    from babel.numbers import get_currency_precision, is_currency  # noqa: PLC0415 - see above

    locale = _locale(name)
    if kind == "%":
        pattern, currency = copy(locale.percent_formats[None]), None
    elif kind:
        if not is_currency(kind):
            raise Unwritable(f"{kind!r} is not a currency's code such as 'EUR'")
        pattern, currency = copy(locale.currency_formats["standard"]), kind
        digits = get_currency_precision(kind) if digits is None else digits
    else:
        pattern, currency = copy(locale.decimal_formats[None]), None
    if digits is not None:
        pattern.frac_prec = (digits, digits)

    def by_babel(value: Decimal) -> str:
        with localcontext(_ARITHMETIC):
            return str(pattern.apply(value, locale, currency=currency, currency_digits=False))

    scale, (_, most) = pattern.scale, pattern.frac_prec
    write = _taken_apart(locale, pattern, by_babel)
    step = Decimal(1).scaleb(-most - scale)
    for value in (_rounded(Decimal(each), step) for each in _TRIED):
        # Babel takes Switzerland's separators for quotes, and loses them two by two.
        if write(value).replace("'", "") != by_babel(value).replace("'", ""):
            write = by_babel
            break
    return lambda value: write(_rounded(value, step))


def _rounded(value: Decimal, step: Decimal) -> Decimal:
    """To a multiple of the step; what becomes zero has no sign."""
    found = value.quantize(step, context=_ARITHMETIC)
    return found or found.copy_abs()


def _taken_apart(locale: Locale, pattern: NumberPattern, by_babel: _Write) -> _Write:
    """The same as Babel's, for rounded numbers, if the pattern is of the usual kind."""
    symbols = locale.number_symbols["latn"]
    point, separator = str(symbols["decimal"]), str(symbols["group"])
    scale, (least, most) = pattern.scale, pattern.frac_prec
    one = Decimal(1).scaleb(-scale)
    zeros = f"{point}{'0' * least}" if least else ""
    affixes = []
    for written in (by_babel(one), by_babel(-one)):
        before, _, after = written.partition(f"1{zeros}")
        affixes.append((before, after))
    first, rest = pattern.grouping
    by_threes = first == rest == 3

    def write(value: Decimal) -> str:
        before, after = affixes[value.is_signed()]
        whole, _, fraction = format(value.scaleb(scale, _ARITHMETIC).copy_abs(), ",f" if by_threes else "f").partition(
            "."
        )
        if by_threes:
            whole = whole.replace(",", separator)
        elif len(whole) > first:
            whole = _grouped(whole, first, rest, separator)
        if most > least and fraction:
            fraction = fraction[:least] + fraction[least:].rstrip("0")
        return f"{before}{whole}{point}{fraction}{after}" if fraction else f"{before}{whole}{after}"

    return write


def _grouped(digits: str, first: int, rest: int, separator: str) -> str:
    """As India writes numbers: `12,34,567`."""
    found = [digits[-first:]]
    left = digits[:-first]
    while left:
        found.append(left[-rest:])
        left = left[:-rest]
    return separator.join(reversed(found))
