"""SIGKILL at random moments, sleeps and steps of clocks, and then another end than the planned one, dozens of times.

Afterwards every recipient has one outcome, and the ledgers agree, person by person. The moments are the same each time;
`make kill` draws others, and more. A failure tells the seed of its trial, and what happened in it.
"""

from __future__ import annotations

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from stentor.testing.postgres import Postgres
from tests.integration.kill.stores import on_postgresql, on_sqlite
from tests.integration.kill.trial import make_plot, play_all

CHUNKS = 3
TRIALS = 14
"""In a chunk: tests are spread over processes."""
LARGEST = 240

pytestmark = pytest.mark.timeout(300)  # a trial gives up before, and tells what happened in it


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_nothing_is_lost(chunk: int, tmp_path: Path, blank: Path, processes: ForkServerContext) -> None:
    seeds = range(chunk * TRIALS, (chunk + 1) * TRIALS)
    tale = await play_all(seeds, on_sqlite(blank, tmp_path), processes, largest=LARGEST, at_once=5)
    assert tale.kills > TRIALS / 2
    assert tale.in_midst > 0, "no sender was killed in the midst of sending"
    assert tale.repeated + tale.ambiguous > 0, "nothing was in flight when a sender was killed"
    assert tale.ambiguous > 0, "of nobody it is unknown whether they have it"


@pytest.mark.parametrize("chunk", range(1))
async def test_nothing_is_lost_with_postgresql(
    chunk: int, postgres_server: Postgres, processes: ForkServerContext
) -> None:
    seeds = range(10_000 + chunk * 8, 10_000 + (chunk + 1) * 8)
    tale = await play_all(seeds, on_postgresql(postgres_server), processes, largest=LARGEST, at_once=2)
    assert tale.kills > 0


def test_the_plots_have_all_there_is() -> None:
    """Every channel, fault and ending is among those that are played here."""
    plots = [make_plot(seed, LARGEST) for seed in range(CHUNKS * TRIALS)]
    assert {channel for plot in plots for channel in plot.channels} == {
        *("apns", "fcm", "webpush", "telegram", "discord", "webhook")
    }
    assert {fault.kind for plot in plots for fault in plot.faults} == {"kill", "sleep", "step"}
    assert {(plot.ending, plot.undo) for plot in plots} == {
        (ending, undo) for ending in ("resume", "cancel", "expire") for undo in (True, False)
    }
    assert all(any(fault.kind == "kill" for fault in plot.faults) for plot in plots)
