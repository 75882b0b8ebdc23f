"""`stentor bench campaign` says in words what was measured."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from stentor.bench import campaign
from stentor.cli.main import app

FOUND: dict[str, Any] = {
    "recipients": 1_000_000,
    "database": "sqlite",
    "seconds": 8.0,
    "rate": 125_000,
    "ratio_h2load": 0.66,
    "ratio_h2load_same_shapes": 0.71,
    "ratio_wire": 0.71,
    "first_push_seconds": 0.31,
    "cpu_us": 10.0,
    "stages": {"planner.read": 2.5, "sender.wire": 7.0, "watch": 0.5},
    "simulator_cpu_us": {"apns": 2.0, "fcm": 1.8},
    "peak_mb": 99.5,
    "processes": [
        {"role": "planner", "peak_mb": 88.0, "startup_seconds": 0.6},
        {"role": "sender", "peak_mb": 99.5, "startup_seconds": 0.6},
    ],
    "accepted": 999_999,
    "failed": 1,
    "exact": True,
    "problems": [],
    "h2load": {"rate": 190_000},
    "wire": {"rate": 176_000},
}


def said(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *options: str) -> str:
    found = {**copy.deepcopy(FOUND), **changes}
    asked: list[tuple[int, str | None]] = []

    def run(recipients: int, database: str | None, say: object) -> dict[str, Any]:
        asked.append((recipients, database))
        return found

    monkeypatch.setattr(campaign, "run", run)
    result = CliRunner().invoke(app, ["bench", "campaign", "--recipients", "10", *options])
    assert result.exit_code == 0, result.output
    assert asked == [(10, None)]
    return result.output


def test_the_table_says_where_the_time_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    output = said(monkeypatch, {})
    row = next(line for line in output.splitlines() if "sender.wire" in line)
    assert "7.00" in row
    assert "70%" in row
    for words in ("125,000 a second", "0.66 of h2load", "0.71 of the wire", "first push after 0.31 s", "audit: exact"):
        assert words in output
    assert "planner 88 MiB, sender 100 MiB" in output
    assert "accepted 999,999, failed 1" in output


def test_without_h2load_the_ratio_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "h2load" not in said(monkeypatch, {"ratio_h2load": None, "h2load": {"rate": None, "missing": "…"}})


def test_an_account_that_is_not_exact_is_told_with_its_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    output = said(monkeypatch, {"exact": False, "problems": ["once: 3 installations came twice"]})
    assert "audit: not exact: once: 3 installations came twice" in output


def test_json_is_one_object_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(said(monkeypatch, {}, "--json")) == FOUND


def test_a_database_of_another_kind_is_refused_before_anything_is_measured() -> None:
    result = CliRunner().invoke(app, ["bench", "campaign", "--recipients", "10", "--database", "mysql://x/y"])
    assert result.exit_code == 2
    assert "postgresql://" in result.output
