"""Texts as the cells of a CSV file that somebody opens in a spreadsheet. Pure.

A spreadsheet takes what begins with one of a few characters for a formula, and runs it. Ids, addresses and providers'
words come from strangers, so an apostrophe goes before such a text: the spreadsheet then shows it as it is.
"""

from __future__ import annotations

import re
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def cell(value: Any) -> Any:
    """A value as a cell: a text that a spreadsheet would run gets an apostrophe before it. A number in a text, such as
    a group's id `-1001`, is none."""
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
