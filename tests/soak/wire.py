"""A long campaign under the whole menu of faults; run by `make soak`, and not collected otherwise.

`STENTOR_SOAK_PUSHES` sets how many pushes go to each provider. What holds in `test_faults.py` must hold here as well.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Deadlines, Endpoint, tls_context
from stentor.simulators.faults import load_faults
from tests.integration.http2.test_faults import apns, check, fcm

PUSHES = int(os.environ.get("STENTOR_SOAK_PUSHES", "500000"))
OPTIONS = PoolOptions(connects_per_second=5.0, timing=Deadlines(answer=15.0, silence=5.0, ping=5.0))
IN_FLIGHT = 30


async def send_many(pool: Pool, bursts: list[Burst]) -> list[Results]:
    results: list[Results] = [Results(0)] * len(bursts)
    numbers = iter(range(len(bursts)))

    async def work() -> None:
        for number in numbers:
            results[number] = await pool.send(bursts[number])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(work())
    return results


@pytest.mark.parametrize("provider", ["apns", "fcm"])
async def test_nothing_is_unaccounted_for(provider: str) -> None:
    if provider == "apns":
        addresses, make = [b"%064x" % number for number in range(PUSHES)], apns
    else:
        addresses, make = [b"device%016d:APA91b%040d" % (number, number) for number in range(PUSHES)], fcm
    async with make(load_faults("menu"), addresses) as (simulator, bursts):
        endpoint = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=simulator.ca_file))
        async with Pool(endpoint, OPTIONS) as pool:
            results = await send_many(pool, bursts)
        counts = check(simulator, addresses, results)
        print(provider, counts, simulator.summary())  # noqa: T201 - the report of the soak
    assert counts[Fate.RESPONSE] > PUSHES * 0.9
