"""A pool counts how long answers take: of one request at a time on each connection, and of answers alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from stentor.answer_times import AnswerTimes, figures
from stentor.http2.burst import Burst, Fate, Results
from stentor.http2.pool import Pool, PoolOptions
from stentor.http2.transport import Endpoint, tls_context
from stentor.simulators.faults import Drop, Faults, Latency, Reset
from stentor.simulators.simulator import Simulator
from tests.integration.http2.test_faults import PATIENT, QUICK, TOKENS, apns

FEW = TOKENS[:1000]
"""Two bursts."""


async def send(simulator: Simulator, bursts: list[Burst], times: AnswerTimes, options: PoolOptions) -> list[Results]:
    where = Endpoint(host="127.0.0.1", port=simulator.port, tls=tls_context(ca_file=Path(simulator.ca_file)))
    async with Pool(where, options, times) as pool:
        return [await pool.send(each) for each in bursts]


def small(burst: Burst) -> list[Burst]:
    """The same in bursts of ten."""
    parts = [slice(start, start + 10) for start in range(0, len(burst), 10)]
    return [Burst(burst.template, tuple(each[part] for each in burst.columns), burst.bodies[part]) for part in parts]


async def test_some_of_the_answers_are_timed() -> None:
    times = AnswerTimes()
    async with apns(Faults(latency=Latency(median_s=0.2, p99_s=0.2)), FEW) as (simulator, bursts):
        await send(simulator, bursts, times, PATIENT)
    found = figures({band: many for band, many in enumerate(times.counts) if many})
    assert found is not None
    assert found.median >= 0.19, "the provider took that long"
    assert len(bursts) <= found.timed < len(FEW) // 2, "one at a time, however many are under way"


@pytest.mark.parametrize(
    ("faults", "fate"),
    [
        (Faults(latency=Latency(tail_share=1.0)), Fate.AMBIGUOUS),
        (Faults(reset=Reset(internal=1.0)), Fate.AMBIGUOUS),
        (Faults(reset=Reset(refused=1.0)), Fate.NOT_PROCESSED),
        (Faults(drop=Drop(after_accept_every=1)), Fate.AMBIGUOUS),
    ],
    ids=["later than we wait", "reset", "refused", "cut"],
)
async def test_what_is_no_answer_is_not_timed(faults: Faults, fate: Fate) -> None:
    times = AnswerTimes()
    async with apns(faults, TOKENS[:4]) as (simulator, bursts):
        [results] = await send(simulator, bursts, times, QUICK)
    assert fate in results.fates
    assert sum(times.counts) <= results.fates.count(Fate.RESPONSE)
    assert Fate.RESPONSE not in results.fates


async def test_the_next_request_is_timed_after_one_that_was_not_answered() -> None:
    """What a connection forgot keeps it from nothing."""
    times = AnswerTimes()
    async with apns(Faults(reset=Reset(internal=0.5)), FEW) as (simulator, bursts):
        results = await send(simulator, [part for each in bursts for part in small(each)], times, PATIENT)
    answered = sum(each.fates.count(Fate.RESPONSE) for each in results)
    assert 0 < answered < len(FEW)
    assert 0 < sum(times.counts) < len(results)
