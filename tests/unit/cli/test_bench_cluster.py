"""`stentor bench cluster` and `scaling` say in words what was measured."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from stentor.bench import cluster, scaling
from stentor.cli.main import app

PATH: dict[str, Any] = {
    "roles": {"planner": 2.5, "sender": 7.0},
    "seconds": 8.0,
    "rate": 125_000,
    "first_push_seconds": 0.31,
    "cpu_us": 9.5,
    "stages": {"planner.read": 2.5, "sender.wire": 7.0},
    "simulator_cpu_us": {"apns": 2.0, "fcm": 1.8},
    "peak_mb": 99.5,
    "processes": [{"role": "planner", "peak_mb": 88.0, "startup_seconds": 0.6}],
    "accepted": 999_999,
    "failed": 1,
    "exact": True,
    "problems": [],
}
FOUND: dict[str, Any] = {
    "recipients": 1_000_000,
    "nodes": 1,
    "replicas": 1,
    "batches": 1000,
    "ratio": 1.13,
    "cluster": {
        **PATH,
        "roles": {**PATH["roles"], "recorder": 0.4},
        "stages": {**PATH["stages"], "recorder.write": 0.4},
        "cpu_us": 9.9,
    },
    "embedded": PATH,
    "servers": {
        "nats": {
            "cpu_us": 3.21,
            "peak_mb": 71.4,
            "messages_a_batch": {"in": 5.7, "out": 7.6},
            "bytes_a_recipient": {"in": 124.4, "out": 125.0},
            "most_stored_mb": 19.8,
        },
        "postgresql": {
            "cpu_us": 2.6,
            "peak_mb": 49.0,
            "statements": {"writes": 400, "reads": 900, "commits": 300},
            "writes_a_batch": 0.4,
            "wal_bytes_a_recipient": 6.4,
            "table_bytes_a_recipient": 5.8,
        },
    },
}
SCALED: dict[str, Any] = {
    "held_to": 3030,
    "latency_ms": 33.0,
    "streams": 100,
    "rows": [
        {
            "senders": number,
            "recipients": 45_450 * number,
            "rate": 2700 * number,
            "rate_a_sender": 2700,
            "linearity": 1.0,
            "cpu_us": 40.0,
            "exact": number < 8,
            "problems": [],
        }
        for number in (1, 8)
    ],
}


def said(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *options: str) -> str:
    found = {**copy.deepcopy(FOUND), **changes}
    asked: list[tuple[object, ...]] = []

    def run(*arguments: object) -> dict[str, Any]:
        asked.append(arguments[:-1])
        return found

    monkeypatch.setattr(cluster, "run", run)
    result = CliRunner().invoke(app, ["bench", "cluster", "--recipients", "10", "--nodes", "3", *options])
    assert result.exit_code == 0, result.output
    assert asked == [(10, 3, 0, (None, None))]
    return " ".join(result.output.split())


def test_both_paths_and_the_servers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    output = said(monkeypatch, {})
    for words in (
        "recorder.write │ 0.40 │ –",
        "sum │ 9.90 │ 9.50",
        "1.13 of the embedded path's CPU",
        "125,000 a second; first push after 0.31 s",
        "NATS: 3.2 µs a recipient, 71 MiB; 5.7 messages a batch in, 7.6 out; 124 bytes a recipient in, 125 out",
        "stored 19.8 MiB at most",
        "2.6 µs a recipient, 49 MiB; 6 bytes of log and 6 of tables a recipient, 0.40 writing statements a batch",
        "memory at most: planner 88 MiB",
        "cluster: audit: exact",
    ):
        assert words in output


def test_what_only_their_owner_knows_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = {
        "nats": dict.fromkeys(FOUND["servers"]["nats"]),
        "postgresql": {
            **dict.fromkeys(FOUND["servers"]["postgresql"]),
            "wal_bytes_a_recipient": 6.4,
            "table_bytes_a_recipient": 5.8,
        },
    }
    output = said(monkeypatch, {"servers": servers})
    assert "NATS:" not in output
    assert "PostgreSQL: 6 bytes of log and 6 of tables a recipient accepted" in output.replace(
        "memory at most: planner 88 MiB the simulators on the same machine: apns 2.0 µs, fcm 1.8 µs CPU a push ", ""
    )


def test_an_account_that_is_not_exact_is_told_with_its_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    path = {**FOUND["cluster"], "exact": False, "problems": ["once: 3 installations came twice"]}
    output = said(monkeypatch, {"cluster": path})
    assert "cluster: audit: not exact: once: 3 installations came twice" in output


def test_json_is_one_object_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(said(monkeypatch, {}, "--json")) == FOUND


def test_more_senders_are_compared_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run(senders: list[int], *_others: object) -> dict[str, Any]:
        asked.append(senders)
        return SCALED

    monkeypatch.setattr(scaling, "run", run)
    result = CliRunner().invoke(app, ["bench", "scaling", "--senders", "1, 8"])
    assert result.exit_code == 0, result.output
    assert asked == [[1, 8]]
    rows = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "│ 1 │ 2,700 │ 2,700 │ 1.00 │ 40.0 µs │ exact │" in rows
    assert "│ 8 │ 21,600 │ 2,700 │ 1.00 │ 40.0 µs │ not exact │" in rows


@pytest.mark.parametrize("senders", ["", "0", "one", "1,", "1,-2"])
def test_senders_that_are_no_numbers_are_refused(senders: str) -> None:
    result = CliRunner().invoke(app, ["bench", "scaling", "--senders", senders])
    assert result.exit_code == 2
    assert "1,2,4" in result.output


def test_servers_of_another_kind_are_refused_before_anything_is_measured() -> None:
    for option, given, wanted in (("--database", "mysql://x/y", "postgresql://"), ("--nats", "http://x", "nats://")):
        result = CliRunner().invoke(app, ["bench", "cluster", "--recipients", "10", option, given])
        assert result.exit_code == 2
        assert wanted in result.output
