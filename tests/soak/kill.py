"""Kill trials by the thousand, with moments that are drawn anew; run by `make kill`, and not collected otherwise.

`STENTOR_KILL_TRIALS` sets how many, `STENTOR_KILL_SEED` the first one's seed: a failure names the seed that repeats it.
Every third chunk is on PostgreSQL, the others on SQLite; which a seed gets doesn't depend on where the trials begin.
"""

from __future__ import annotations

import os
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from stentor.testing.postgres import Postgres
from tests.integration.conftest import postgres_server
from tests.integration.kill.conftest import blank, processes
from tests.integration.kill.stores import on_postgresql, on_sqlite
from tests.integration.kill.trial import play_all

__all__ = ["blank", "postgres_server", "processes"]  # fixtures

TRIALS = int(os.environ.get("STENTOR_KILL_TRIALS", "2000"))
SEED = int(os.environ.get("STENTOR_KILL_SEED") or time.time())
CHUNK = 20
LARGEST = 2000


def chunks(first: int, trials: int) -> list[range]:
    """The seeds in rows that are played together: those of one score."""
    found = []
    while trials > 0:
        size = min(trials, CHUNK - first % CHUNK)
        found.append(range(first, first + size))
        first, trials = first + size, trials - size
    return found


@pytest.mark.parametrize("seeds", chunks(SEED, TRIALS), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
async def test_nothing_is_lost(
    seeds: range, tmp_path: Path, blank: Path, postgres_server: Postgres, processes: ForkServerContext
) -> None:
    if seeds.start // CHUNK % 3:
        tale = await play_all(seeds, on_sqlite(blank, tmp_path), processes, largest=LARGEST, at_once=5)
    else:
        tale = await play_all(seeds, on_postgresql(postgres_server), processes, largest=LARGEST, at_once=3)
    print(f"seeds {seeds.start} to {seeds.stop - 1}: {tale}")  # noqa: T201 - the report of the soak
