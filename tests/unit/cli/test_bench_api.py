"""`stentor bench api` says in words what was measured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from stentor.bench import api
from stentor.cli.main import app

FOUND: dict[str, Any] = {
    "recipients": 10,
    "rounds": 1,
    "watchers": 100,
    "rows": 1000,
    "rate": {"alone": 100_000, "watched": 97_000, "asked": 90_000},
    "ratio": 0.97,
    "ratios": [0.97],
    "complete": True,
    "events": 4000,
    "ended": 100,
    "api_cpu_seconds": {"alone": 0.1, "watched": 0.35},
    "watchers_cpu_seconds": 0.5,
    "created": 40,
    "create_ms": {"p50": 80.4, "p99": 120.0, "max": 130.0},
    "create_for_one_ms": {"p50": 11.0, "p99": 21.0, "max": 31.0},
    "create_uncounted_ms": {"p50": 7.0, "p99": 17.0, "max": 27.0},
    "messages": 200,
    "seen": 199,
    "accepted": 200,
    "send_ms": {"p50": 12.0, "p99": 22.0, "max": 32.0},
    "first_byte_ms": {"p50": 42.0, "p99": 72.0, "max": 92.0},
    "upsert": {"rate": 25_000, "added": 1000, "before_mb": 100.0, "quarter_mb": 110.0, "peak_mb": 111.0},
    "export": {
        "before_mb": 111.0,
        "csv": {"rows": 10, "rate": 60_000},
        "jsonl": {"rows": 10, "rate": 70_000},
        "peak_mb": 112.0,
    },
}


def said(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *options: str) -> str:
    asked: list[tuple[api.ApiSpec, str | None]] = []

    def run(spec: api.ApiSpec, database: str | None, say: object) -> dict[str, Any]:
        asked.append((spec, database))
        return {**FOUND, **changes}

    monkeypatch.setattr(api, "run", run)
    result = CliRunner().invoke(
        app, ["bench", "api", "--recipients", "10", "--rounds", "1", "--rows", "1000", *options], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    assert asked == [(api.ApiSpec(10, 1, 100, 1000), None)]
    return result.output


def test_every_figure_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output = said(monkeypatch, {})
    row = next(line for line in output.splitlines() if "first byte" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")][1:] == ["42", "72", "92", "199"]
    for words in (
        "0.970 of the campaign's rate with 100 watchers: 97,000 instead of 100,000",
        "0.35 s instead of 0.10 s",
        "upsert: 25,000 installations a second",
        "110 → 111 MiB",
        "export: 60,000 rows a second as CSV, 70,000 as JSON Lines",
    ):
        assert words in output
    assert "not accepted" not in output


def test_a_campaign_that_did_not_reach_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "some recipients were not accepted" in said(monkeypatch, {"complete": False})


def test_without_a_message_seen_there_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    row = next(
        line for line in said(monkeypatch, {"first_byte_ms": {}, "seen": 0}).splitlines() if "first byte" in line
    )
    assert row.count("–") == 3


def test_json_is_one_object_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(said(monkeypatch, {}, "--json")) == FOUND
