"""Texts from strangers as cells of a spreadsheet."""

from __future__ import annotations

from typing import Any

import pytest

from stentor.cells import cell


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-", "+1x"])
def test_what_a_spreadsheet_would_run_it_shows(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["", "user-1", "a=b", "-1001234567890", "+4930123456", "-1.5", 7, None, True])
def test_all_else_stays_as_it_is(value: Any) -> None:
    assert cell(value) == value
