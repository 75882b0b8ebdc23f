"""Numbers, moments and plurals as a language writes them: the same as Babel's, and what cannot be written is told."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from babel import Locale, localedata
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, format_percent
from hypothesis import given
from hypothesis import strategies as st

from stentor.errors import InvalidMessage
from stentor.planning.formats import Unwritable, formats_for
from stentor.planning.local_filters import NAMES
from stentor.planning.templates import Text, filling
from stentor.zones import zone_of

TAGS = st.sampled_from(sorted(localedata.locale_identifiers())).filter(
    lambda name: Locale.parse(name).variant is None and Locale.parse(name).number_symbols["latn"]["group"] != "'"
)
NUMBERS = st.decimals(-(10**15), 10**15, places=2, allow_nan=False).filter(lambda value: not value or abs(value) >= 1)
NOON = "2030-01-31T12:00:00Z"


def fill(text: str, tag: str = "en", reader: str = "", zone: str = "", **values: Any) -> str:
    template = Text("title", text)
    with filling(formats_for(tag, reader, zone)):
        return template.fill(template.context(values))


@pytest.mark.parametrize(
    ("text", "tag", "reader", "written"),
    [
        ("{{ 1234.5 | number }}", "en", "", "1,234.5"),
        ("{{ 1234.5 | number }}", "de", "", "1.234,5"),
        ("{{ 1234.5 | number(2) }}", "de", "de-CH", "1'234.50"),
        ("{{ 1234567 | number }}", "de", "de-CH", "1'234'567"),
        ("{{ 1234567 | number }}", "hi", "", "12,34,567"),
        ("{{ '1234.50' | currency('EUR') }}", "de", "", "1.234,50\xa0€"),
        ("{{ -3 | currency('JPY') }}", "en", "", "-¥3"),
        ("{{ 1234.5 | currency('MXN') }}", "es", "es-MX", "$1,234.50"),
        ("{{ 1.5 | currency('EUR', digits=0) }}", "fr", "", "2\xa0€"),
        ("{{ 0.256 | percent }}", "en", "", "26%"),
        ("{{ 0.256 | percent(1) }}", "de", "", "25,6\xa0%"),
        ("{{ -0.001 | number(1) }}", "en", "", "0.0"),
        ("{{ '2030-01-31' | date('long') }}", "en", "", "January 31, 2030"),
        ("{{ '2030-01-31' | date('long') }}", "en", "en-GB", "31 January 2030"),
        ("{{ '2030-01-31' | date('long') }}", "de", "de-AT", "31. Jänner 2030"),
        ("{{ '2030-01-31' | date('long') }}", "de", "en-GB", "31. Januar 2030"),
        ("{{ '2030-01-31' | date('full') }}", "zh-Hant", "zh-HK", "2030年1月31日星期四"),
        ("{{ '2030-01-31' | date }}", "no", "", "31. jan. 2030"),
        ("{{ 3 | plural(one='# item', other='# items') }}", "en", "", "3 items"),
        ("{{ 1 | plural(one='# item', other='# items') }}", "en", "", "1 item"),
        ("{{ '1.00' | plural(one='# item', other='# items') }}", "en", "", "1 item"),
        ("{{ 1.5 | plural(one='# item', other='# items') }}", "en", "", "1.5 items"),
        ("{{ 0 | plural(zero='nothing', other='# items') }}", "en", "", "nothing"),
        ("{{ 22 | plural(one='# день', few='# дня', many='# дней', other='# дня') }}", "ru", "", "22 дня"),
        ("{{ 5 | plural(one='# день', few='# дня', many='# дней', other='# дня') }}", "ru", "", "5 дней"),
        ("{{ 5 | plural(one='a', other='b') }}", "ru", "", "b"),
        ("{{ 3 | plural(one='a', few='b', other='c') }}", "", "ru", "b"),
        ("{{ 1234.5 | number }}", "", "", "1,234.5"),
        ("{{ 1234.5 | number }}", "qaa", "", "1,234.5"),
        ("{{ n | default(7) | number }}", "en", "", "7"),
    ],
)
def test_what_is_written(text: str, tag: str, reader: str, written: str) -> None:
    assert fill(text, tag, reader) == written


@pytest.mark.parametrize(
    ("text", "zone", "written"),
    [
        ("{{ at | time }}", "Europe/Berlin", "13:00"),
        ("{{ at | time }}", "+05:30", "17:30"),
        ("{{ at | time }}", "UTC-08:00", "04:00"),
        ("{{ at | time('short', zone='Asia/Tokyo') }}", "Europe/Berlin", "21:00"),
        ("{{ at | time('medium') }}", "Europe/Berlin", "13:00:00"),
        ("{{ at | time('long') }}", "Europe/Berlin", "13:00:00 MEZ"),
        ("{{ at | datetime('short') }}", "Europe/Berlin", "31.01.30, 13:00"),
        ("{{ at | datetime }}", "Pacific/Kiritimati", "01.02.2030, 02:00:00"),
        ("{{ at | date }}", "Pacific/Kiritimati", "01.02.2030"),
    ],
)
@pytest.mark.parametrize(
    "at",
    [
        *(NOON, "2030-01-31 12:00:00", "2030-01-31T13:00:00+01:00", 1896091200, 1896091200.0, 1896091200000),
        datetime(2030, 1, 31, 12, tzinfo=UTC),
        datetime(2030, 1, 31, 12),
        datetime(2030, 1, 31, 7, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_moments_are_the_readers(text: str, zone: str, written: str, at: Any) -> None:
    assert fill(text, "de", "", zone, at=at) == written


@pytest.mark.parametrize("zone", ["", "Asia", "no such zone", "+25:00"])
@pytest.mark.parametrize(("at", "written"), [(NOON, "12:00"), ("2030-01-31T13:00:00+01:00", "13:00"), (0, "00:00")])
def test_without_a_zone_a_moment_stays_in_its_own(zone: str, at: Any, written: str) -> None:
    assert fill("{{ at | time }}", "de", "", zone, at=at) == written


def test_a_day_is_the_same_everywhere() -> None:
    for day in ("2030-01-31", date(2030, 1, 31)):
        assert fill("{{ day | date }}", "de", "", "Pacific/Kiritimati", day=day) == "31.01.2030"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ n | number }}", r"^title: needs `n`, which this installation doesn't have$"),
        ("{{ n | plural(other='x') }}", r"^title: needs `n`"),
        ("{{ 1 | currency(code) }}", r"^title: needs `code`"),
        ("{{ 'abc' | number }}", r"^title: `number`: 'abc' is not a number$"),
        ("{{ '' | number }}", r"^title: `number`: '' is not a number$"),
        ("{{ true | number }}", r"^title: `number`: True is not a number$"),
        ("{{ [1] | number }}", r"^title: `number`: a list is not a number$"),
        ("{{ none | number }}", r"^title: `number`: a NoneType is not a number$"),
        ("{{ 1e40 | number }}", r"^title: `number`: 1e\+40 is too large a number to write$"),
        ("{{ '1e5' | number }}", r"^title: `number`: '1e5' is not a number$"),
        ("{{ 'tomorrow' | date }}", r"^title: `date`: 'tomorrow' is not a date such as '2030-01-31T18:00:00Z'$"),
        ("{{ -1 | date }}", r"^title: `date`: -1 is not a date"),
        ("{{ '2030-01-31' | time }}", r"^title: `time`: '2030-01-31' is a day without a time$"),
        ("{{ 1 | currency(wrong) }}", r"^title: `currency`: 'euro' is not a currency's code such as 'EUR'$"),
        ("{{ 2 | plural(one='x', other=some) }}", r"^title: `plural`: the form `other` is not a text$"),
    ],
)
def test_what_cannot_be_written_is_told(text: str, problem: str) -> None:
    with pytest.raises(InvalidMessage, match=problem):
        fill(text, wrong="euro", some=[])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{ n | currency }}", "`currency`: missing a required argument: 'code'"),
        ("{{ n | currency('euro') }}", "`currency`: 'euro' is not a currency's code such as 'EUR'"),
        ("{{ n | currency('XXQ') }}", "`currency`: 'XXQ' is not a currency's code"),
        ("{{ n | number(99) }}", "`number`: 99 is not a number of digits from 0 to 10"),
        ("{{ n | number(places=2) }}", "`number`: got an unexpected keyword argument 'places'"),
        ("{{ n | date('longer') }}", "`date`: 'longer' is not a length; there are short, medium, long, full"),
        ("{{ n | time('short', zone='Asia') }}", "`time`: 'Asia' is not a time zone such as 'Europe/Berlin'"),
        ("{{ n | plural(one='x') }}", "`plural`: the form `other` is missing"),
        ("{{ n | plural(ones='x', other='y') }}", "`plural`: `ones` is not a plural form; there are zero, one"),
    ],
)
def test_a_filter_that_is_called_wrongly_is_found_by_the_check(text: str, problem: str) -> None:
    with pytest.raises(InvalidMessage) as found:
        Text("title", text)
    assert str(found.value).startswith(f"title: broken template, line 1: {problem}")


@given(TAGS, NUMBERS)
def test_numbers_are_as_babel_writes_them(name: str, value: Decimal) -> None:
    locale = Locale.parse(name)
    formats = formats_for(name, "", "")
    cents = value.quantize(Decimal("0.01"), ROUND_HALF_EVEN)
    assert formats.number(value) == format_decimal(value, locale=locale)
    assert formats.currency(str(cents), "EUR") == format_currency(cents, "EUR", locale=locale)
    assert formats.percent(value) == format_percent(value, locale=locale)


@given(TAGS, st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.sampled_from(["short", "medium", "long", "full"]))
def test_moments_are_as_babel_writes_them(name: str, day: date, length: Any) -> None:
    locale, zone = Locale.parse(name), zone_of("Europe/Berlin")
    formats = formats_for(name, "", "Europe/Berlin")
    moment = datetime(day.year, day.month, day.day, 17, 3, 9, tzinfo=UTC)
    assert formats.date(day.isoformat(), length) == format_date(day, length, locale=locale)
    assert formats.datetime(moment, length) == format_datetime(moment, length, tzinfo=zone, locale=locale)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.integers()))
def test_any_value_is_written_or_told(value: Any) -> None:
    formats = formats_for("de", "", "Europe/Berlin")
    for name in sorted(NAMES):
        more = {"currency": ("EUR",)}.get(name, ())
        forms = {"other": "#"} if name == "plural" else {}
        with suppress(Unwritable):
            assert isinstance(getattr(formats, name)(value, *more, **forms), str)


@given(st.text())
def test_any_zone_is_one_or_none(written: str) -> None:
    formats_for("en", written, written).datetime(NOON)


def test_what_is_written_is_bounded() -> None:
    assert len(fill("{{ n | currency('EUR', digits=10) }}", "hi", n="9" * 30)) < 80
    with pytest.raises(InvalidMessage, match=r"works on more than 500,000 characters in all"):
        fill("{% for n in range(1000) %}{% for m in range(5) %}{{ n | number }}{% endfor %}{% endfor %}")


def test_babel_is_loaded_with_the_first_value_that_is_written() -> None:
    script = (
        "import sys; from stentor.planning.templates import Text, filling\n"
        "text = Text('title', '{{ name }}')\nwith filling(): text.fill(text.context({'name': 'Ada'}))\n"
        "assert 'babel' not in sys.modules, 'loaded'"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
