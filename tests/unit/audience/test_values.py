"""What a database holds, as it is carried: whatever it is, it can be carried, or it is said why not."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.values import DEEPEST, LATEST, Unusable, addresses, epochs, misfit, show, shown, shown_object
from stentor.batch import VERSION, Batch, decode_batch, encode_batch

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.ip_addresses()
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3) | st.integers(), inner), max_leaves=8
)


class Strange:
    """Of no type that anybody knows."""


@given(ANYTHING)
def test_whatever_is_shown_travels(value: object) -> None:
    batch = Batch(
        version=VERSION,
        id="b",
        campaign_id="c",
        lane="apns/ios",
        expires_at=0.0,
        recipients=[b"k"],
        addresses=[b"a"],
        variables=[{"v": show(value)}],
    )
    assert decode_batch(encode_batch(batch)).variables == batch.variables


@given(st.lists(ANYTHING, max_size=4))
def test_a_column_is_shown_as_each_of_its_values_is(column: list[Any]) -> None:
    assert shown(column) == [show(value) for value in column]


def nested(depth: int) -> Any:
    return json.loads("[" * depth + "]" * depth)


def test_what_cannot_be_carried_says_why_and_concerns_its_row_alone() -> None:
    first, deep, strange, last = shown(["x", nested(DEEPEST + 1), Strange(), 2])
    assert (first, last) == ("x", 2)
    assert isinstance(deep, Unusable)
    assert "lists and objects more than 32 deep" in str(deep)
    assert isinstance(strange, Unusable)
    assert str(strange) == "is of the type Strange, which templates cannot show"
    assert show(nested(DEEPEST)) == nested(DEEPEST)


@pytest.mark.parametrize(
    "text", ["{", "[" * 100_000, '{"a": 1e999}', '{"a": ' + "9" * 5000 + "}", '{"a": "\\ud800"}', "\xff"]
)
def test_what_is_no_json_says_so(text: str) -> None:
    with pytest.raises(Unusable, match="are not JSON that can be read"):
        shown_object(text, ["a"])


def test_some_of_an_object() -> None:
    assert shown_object('{"a": [1], "b": 2}', ["b", "a", "c"]) == {"a": [1], "b": 2, "c": None}
    assert shown_object('{"deep": ' + json.dumps(nested(90)) + "}", ["a"]) == {"a": None}
    assert shown_object(None, ["a"]) == shown_object("", ["a"]) == shown_object("[1]", ["a"]) == {"a": None}


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.binary() | st.none() | st.integers() | st.uuids())
)
def test_addresses(column: list[Any]) -> None:
    found = addresses(column)
    for value, address in zip(column, found, strict=True):
        if isinstance(value, bytes) and address != value.hex().encode():
            assert (address, value.isascii()) == (value.strip(), True)
        elif not isinstance(value, bytes):
            assert address == ("" if value is None else str(value).strip()).encode()


SUBSCRIPTION = {"endpoint": "https://push.example/ü", "keys": {"auth": "a", "p256dh": "b"}}


def test_addresses_as_apps_keep_them() -> None:
    """A fixed width, a line feed, an object, text as bytes, and bytes that are no text."""
    assert addresses(["ab  ", "\tab\r\n", None]) == [b"ab", b"ab", b""]
    assert addresses(["ab  ", "cd\n"]) == [b"ab", b"cd"]
    (found,) = addresses([SUBSCRIPTION])
    assert json.loads(found) == SUBSCRIPTION
    assert addresses([b"APA91b:x-_\n", bytes(range(32)), b"", b"\xc3\xbc"]) == [
        b"APA91b:x-_",
        bytes(range(32)).hex().encode(),
        b"",
        b"c3bc",
    ]


def test_an_address_that_is_no_text_is_still_one() -> None:
    assert addresses(["a", "\ud800", Decimal("1E+3")]) == [b"a", b"?", b"1000"]


@given(st.lists(ANYTHING | st.floats() | st.decimals(), min_size=1))
def test_times_are_times_or_unknown(column: list[Any]) -> None:
    assert all(math.isfinite(at) and 0 <= at < LATEST for at in epochs(column))


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (datetime(2026, 1, 31, 8), 1769846400.0),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), 1769846400.0),
        (date(2026, 1, 31), 1769817600.0),
        (1769846400, 1769846400.0),
        (1769846400000, 1769846400.0),
        (Decimal("1769846400.5"), 1769846400.5),
        ("1769846400", 1769846400.0),
        ("2026-01-31 08:00:00", 1769846400.0),
        *(
            (nothing, 0.0)
            for nothing in (None, "", "soon", True, b"1", time(8), timedelta(1), UUID(int=1), datetime.max)
        ),
        *(
            (number, 0.0)
            for number in (-1.0, math.nan, math.inf, Decimal("NaN"), Decimal("sNaN"), Decimal("-Infinity"))
        ),
    ],
)
def test_a_time(value: object, at: float) -> None:
    assert epochs([value]) == [at]
    assert epochs([5.0, value, 1]) == [5.0, at, 1.0]


def test_a_column_that_is_of_no_use() -> None:
    assert misfit("address", [None, 1.5, 2.5]) is not None
    assert misfit("address", [None, 1.5, "a"]) is None
    assert misfit("address", [None, None]) is None
    assert misfit("address", [None, 1.5]) is None  # one row's own matter
    assert str(misfit("registered_at", ["soon", "later"])).startswith(
        "holds values of the type str, which are not times"
    )
    assert misfit("language", ["de", None]) is None
    assert misfit("attributes", [Strange(), Strange()]) is None


def test_a_float_that_is_no_number_travels() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(show(math.inf))) == math.inf
