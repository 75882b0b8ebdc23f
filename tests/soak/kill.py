"""Kill trials by the thousand, with moments that are drawn anew; run by `make kill`, and not collected otherwise.

`STENTOR_KILL_TRIALS` sets how many, `STENTOR_KILL_SEED` the first one's seed: a failure names the seed that repeats it.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.integration.kill.conftest import blank, processes
from tests.integration.kill.stage import copy_of
from tests.integration.kill.trial import play_all

__all__ = ["blank", "processes"]  # fixtures

TRIALS = int(os.environ.get("STENTOR_KILL_TRIALS", "2000"))
SEED = int(os.environ.get("STENTOR_KILL_SEED") or time.time())
CHUNK = 20
LARGEST = 2000


@pytest.mark.parametrize("first", range(SEED, SEED + TRIALS, CHUNK))
async def test_nothing_is_lost(first: int, tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    @asynccontextmanager
    async def open_store(seed: int) -> AsyncIterator[str]:
        yield copy_of(blank, tmp_path / f"{seed}.db")

    seeds = range(first, min(first + CHUNK, SEED + TRIALS))
    tale = await play_all(seeds, open_store, processes, largest=LARGEST, at_once=5)
    print(f"seeds {seeds.start} to {seeds.stop - 1}: {tale}")  # noqa: T201 - the report of the soak
