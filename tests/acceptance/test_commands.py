"""The commands as a user runs them, in processes of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def stentor(*arguments: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stentor.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def test_the_demo_shows_it_all() -> None:
    run = stentor("demo", "--recipients", "4000")
    assert run.returncode == 0, run.stderr
    assert "completed: 4,000 of 4,000 (100 %)" in run.stdout
    assert "in the ledger" in run.stdout
    assert "exact: every phone is accounted for" in run.stdout
    assert "What to try next:" in run.stdout
    assert max(map(len, run.stdout.split("What to try next:")[0].splitlines()[4:])) <= 80


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    run = stentor("bench", "wire", "--requests", "20000", "--json")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_the_bench_measures_what_it_says(measured: dict[str, Any]) -> None:
    for shape in ("apns", "fcm"):
        row = measured[shape]
        assert row["accepted"] == 20_000
        assert row["failed"] == 0
        assert row["rate"] > 0
        assert row["cpu_us"] > 0
        assert row["latency"]["failed"] == 0
        assert row["latency"]["connections"] > 1


def test_the_benchs_ratios_are_of_this_run(measured: dict[str, Any]) -> None:
    yardstick = measured["h2load"]
    if shutil.which("h2load") is None or shutil.which("nghttpd") is None:
        assert yardstick["rate"] is None
        assert "not installed" in yardstick["missing"]
        assert measured["apns"]["ratio"] is None
        return
    assert yardstick["rate"] == max(yardstick["apns"]["rate"], yardstick["fcm"]["rate"])
    for shape in ("apns", "fcm"):
        assert measured[shape]["ratio"] == pytest.approx(measured[shape]["rate"] / yardstick["rate"], abs=0.01)


def test_every_field_of_the_bench_is_explained(measured: dict[str, Any]) -> None:
    text = (Path(__file__).parents[2] / "bench" / "README.md").read_text()
    told = ("requests", "accepted", "failed", "connections", "median_ms", "missing")  # plain words
    for key in {*measured["apns"], *measured["apns"]["latency"], *measured} - set(told):
        assert key in text, key
