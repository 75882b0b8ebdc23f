"""`bench/peers/run.py`: every peer that is installed really has pushes accepted, and the rows say what they must."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def measure(*names: str, **environment: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "bench/peers/run.py", "--seconds", "0.2", "--json"]
    for name in names:
        command += ["--only", name]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=True
    )
    return {row["name"]: row for row in json.loads(run.stdout)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "names",
    [
        ("stentor-apns", "aioapns", "httpx"),
        pytest.param(
            ("stentor-fcm", "firebase-admin"),
            marks=pytest.mark.skipif(
                os.environ.get("STENTOR_TEST_PEERS") != "1",
                reason="firebase-admin takes half a minute for a few thousand messages: set STENTOR_TEST_PEERS=1",
            ),
        ),
    ],
    ids=lambda names: names[-1],
)
def test_the_python_peers_are_measured(names: tuple[str, ...]) -> None:
    rows = measure(*names)
    assert tuple(rows) == names
    for row in rows.values():
        assert row["note"] == "", row["name"]
        assert row["accepted"] > 0, row
        assert row["failed"] == 0, row
        assert row["rate"] > 0
        assert row["cpu_us"] > 0
        assert row["version"]
        assert row["of_stentor"] == 1.0 if row["name"].startswith("stentor") else row["of_stentor"] > 0


def test_a_peer_that_cannot_be_measured_says_why() -> None:
    rows = measure("apns2", PATH="")
    assert rows["apns2"]["note"] == "not measured: Go is not installed"
    assert rows["apns2"]["rate"] is None


@pytest.mark.timeout(600)
@pytest.mark.skipif(
    shutil.which("go") is None or os.environ.get("STENTOR_TEST_GO") != "1",
    reason="builds the Go peers, which takes minutes: set STENTOR_TEST_GO=1, with Go installed",
)
def test_the_go_peers_are_measured() -> None:
    for name, row in measure("apns2", "gorush").items():
        assert row["accepted"] > 0, (name, row)
        assert row["failed"] == 0, (name, row)
