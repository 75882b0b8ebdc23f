"""Attributes as lines: what was written is read back, and what people type means what it looks like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stentor.dashboard.attributes import from_lines, to_lines
from stentor.errors import InvalidInput

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_was_written_is_read_back(attributes: dict[str, Any]) -> None:
    assert from_lines(to_lines(attributes)) == attributes


def test_what_people_type() -> None:
    assert from_lines('plan = pro\n\n  visits=12 \nbeta = true\nnote = a = b\nzip = "0123"\nempty =') == {
        "plan": "pro",
        "visits": 12,
        "beta": True,
        "note": "a = b",
        "zip": "0123",
        "empty": "",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [("plan pro", "line 1"), ("a = 1\n= 2", "line 2"), ('"a = 1', "line 1"), ("a = 1\na = 2", "twice")],
)
def test_what_is_no_attribute(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        from_lines(text)


def test_deep_nesting_is_text() -> None:
    assert from_lines("a = " + "[" * 100_000)["a"].startswith("[[")
