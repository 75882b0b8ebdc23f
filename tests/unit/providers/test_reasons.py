"""The reason tables: complete, without doubles, and the same in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.render_reasons import page
from stentor.outcome import Scope, Verdict
from stentor.providers.apns import reasons as apns
from stentor.providers.contract import Rule
from stentor.providers.fcm import reasons as fcm
from stentor.providers.telegram import reasons as telegram

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_the_tables() -> None:
    assert (DOCS / "reasons.md").read_text() == page(), "run `python docs/render_reasons.py > docs/reasons.md`"


@pytest.mark.parametrize("table", [apns.TABLE, fcm.TABLE, telegram.TABLE], ids=["apns", "fcm", "telegram"])
def test_tables_are_consistent(table: tuple[Rule, ...]) -> None:
    keys = [(rule.status, rule.reason) for rule in table]
    assert keys == sorted(set(keys)), "sorted, without doubles"
    for rule in table:
        assert 400 <= rule.status < 600
        if rule.verdict is Verdict.DROP:
            assert rule.scope is Scope.ADDRESS
        if rule.verdict is Verdict.FIX:
            assert rule.scope is Scope.MESSAGE
        if rule.verdict is Verdict.STOP:
            assert rule.scope in (Scope.LANE, Scope.PLATFORM)
        if rule.verdict is Verdict.RETRY:
            assert rule.wait is not None
        if rule.stop_if_all:
            assert rule.verdict is Verdict.DROP


def test_each_apns_reason_has_one_row() -> None:
    assert len(apns.BY_REASON) == len(apns.TABLE)
