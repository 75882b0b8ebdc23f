"""Chaos trials by the hundred, with faults that are drawn anew; run by `make chaos`, and not collected otherwise.

`STENTOR_CHAOS_TRIALS` sets how many, `STENTOR_CHAOS_SEED` the first one's seed: a failure names the seed of its trial.
Every other trial has three NATS servers; each has an audience of several hundred, and one to five faults.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from stentor.testing.nats import RunningNats
from stentor.testing.postgres import Postgres
from tests.integration.chaos.conftest import processes, three_servers
from tests.integration.chaos.stage import FAULTS, open_cluster
from tests.integration.chaos.trial import make_plot, play
from tests.integration.conftest import nats_server, postgres, postgres_server
from tests.integration.kill.stage import open_providers

__all__ = ["nats_server", "postgres", "postgres_server", "processes", "three_servers"]  # fixtures

TRIALS = int(os.environ.get("STENTOR_CHAOS_TRIALS", "100"))
SEED = int(os.environ.get("STENTOR_CHAOS_SEED") or time.time())
RECIPIENTS = 600


@pytest.mark.parametrize("seed", range(SEED, SEED + TRIALS))
async def test_nothing_is_lost(
    seed: int, postgres: str, postgres_server: Postgres, request: pytest.FixtureRequest
) -> None:
    nats: RunningNats = request.getfixturevalue("three_servers" if seed % 2 else "nats_server")
    context = request.getfixturevalue("processes")
    plot = make_plot(seed, RECIPIENTS)
    history: list[str] = []
    settings: dict[str, Any] = {"recipients": plot.recipients, "lifetime": plot.lifetime, "deliveries": 50}
    print(plot)  # noqa: T201 - the report of the soak
    try:
        async with (
            nats.queue_name() as name,
            open_providers(FAULTS, seed=seed, channels=plot.channels) as providers,
            open_cluster(postgres, nats, name, providers, context, **settings) as cluster,
        ):
            await play(plot, cluster, postgres_server, history)
    except BaseException as error:
        error.add_note("\n  ".join([f"in the chaos trial with seed {seed}: {plot}", *history]))
        raise
    finally:
        postgres_server.start()
        for node in nats.nodes:
            if node.runs:
                node.go_on()
        nats.start()
