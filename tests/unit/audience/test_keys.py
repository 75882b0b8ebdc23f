"""Keys: cursors give back exactly the same key, and guesses lie between the ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.audience.keys import KINDS, kind_of, read_cursor, texts

KEYS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(),
    "uuid": st.uuids(),
    "datetime": st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=-9, minutes=-30))])).map(
        lambda time: time.replace(fold=0)  # no database knows folds
    ),
    "date": st.dates(),
    "decimal": st.decimals(allow_nan=False),
    "float": st.floats(allow_nan=False),
    "bytes": st.binary(),
}
ANY_KEY = st.one_of(*KEYS.values())


@given(ANY_KEY)
def test_a_cursor_gives_back_the_same_key(key: Any) -> None:
    kind = kind_of(key)
    assert kind is not None
    found = read_cursor(kind.cursor(key))
    assert (type(found), found) == (type(key), key)
    assert repr(found) == repr(key)  # -0.0, trailing zeros of decimals, offsets of times


@given(ANY_KEY)
def test_a_key_is_found_by_its_text(key: Any) -> None:
    kind = kind_of(key)
    assert kind is not None
    [text] = texts([key], kind)
    assert kind.from_text(text.decode()) == key


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.tag)
@given(data=st.data(), parts=st.integers(1, 64))
def test_guesses_ascend_between_the_ends(kind: Any, data: st.DataObject, parts: int) -> None:
    keys = KEYS[kind.tag]
    if kind.tag == "text":
        keys = st.text("0123456789abcdefXYZ-")
    if kind.tag == "datetime":
        keys = st.datetimes()
    first, last = sorted([data.draw(keys), data.draw(keys)])
    guesses = kind.between(first, last, parts)
    assert len(guesses) <= parts - 1
    assert all(type(guess) is type(first) for guess in guesses)
    if kind.tag not in ("text", "bytes", "float"):  # of these only the beginning is looked at; floats round
        assert sorted(guesses) == guesses
        assert all(first <= guess <= last for guess in guesses)


@pytest.mark.parametrize(
    ("first", "last", "middle"),
    [
        (0, 100, 50),
        ("user000", "user999", "user499"),
        ("0000abc", "ffffdef", "8000"),
        ("00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff", "7fffffff"),
        (UUID(int=0), UUID(int=2**128 - 1), UUID(int=2**127 - 1)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
        (date(2026, 1, 1), date(2026, 1, 3), date(2026, 1, 2)),
        (Decimal("1.0"), Decimal("2.0"), Decimal("1.5")),
        (1.0, 2.0, 1.5),
    ],
)
def test_two_parts_are_cut_in_the_middle(first: Any, last: Any, middle: Any) -> None:
    kind = kind_of(first)
    assert kind is not None
    [guess] = kind.between(first, last, 2)
    assert guess == middle or str(guess).startswith(str(middle))


@pytest.mark.parametrize("odd", [(Decimal("NaN"), Decimal(1)), (-1e308, 1e308), (float("-inf"), 0.0)])
def test_where_nothing_can_be_calculated_nothing_is_guessed(odd: tuple[Any, Any]) -> None:
    kind = kind_of(odd[0])
    assert kind is not None
    assert kind.between(*odd, 4) == []


def test_whole_and_broken_numbers_in_one_column_keep_their_value() -> None:
    kind = kind_of(1.5)
    assert kind is not None
    assert texts([1, 1.5, 2], kind) == [b"1", b"1.5", b"2"]
    int_kind = kind_of(1)
    assert int_kind is not None
    assert texts([1, 1.5, 2], int_kind) == [b"1", b"1.5", b"2"]


@pytest.mark.parametrize("key", [True, None, [1], timedelta(1)])
def test_what_cannot_be_a_key(key: Any) -> None:
    assert kind_of(key) is None


@pytest.mark.parametrize(
    "text", ["", "5", "what:5", "int:five", "int:1_000", "int:٣", "uuid:x", "decimal:x", "bytes:x"]
)
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_cursor(text)
