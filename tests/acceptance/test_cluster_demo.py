"""`make cluster-demo`, with fewer phones: everything that can die dies on the way, and the account is exact."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.timeout(300)  # three NATS servers elect leaders anew, and what was killed starts again
def test_a_cluster_loses_nothing_while_parts_of_it_die() -> None:
    command = [sys.executable, "-m", "stentor.testing.cluster", "--recipients", "30000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for trouble in ("killed NATS server", "killed planner 1, sender 1, recorder 1", "is back", "restarted PostgreSQL"):
        assert trouble in done.stdout
    assert "exact: every phone is accounted for, and the ledgers agree to the last one" in done.stdout
