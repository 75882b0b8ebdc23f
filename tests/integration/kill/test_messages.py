"""A sender is killed that holds a message: another sends it, everybody has one outcome, and no chat gets it twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from multiprocessing.context import ForkServerContext
from pathlib import Path

from stentor.cli.init import simulated
from stentor.config import Config
from stentor.model import Message
from stentor.planning.content import Content
from stentor.recording.messages import MessageOutcome
from stentor.runtime.stentor import Stentor
from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Faults, Latency
from stentor.simulators.simulator import Simulator
from stentor.simulators.telegram import TelegramSimulator
from stentor.testing.roles import start_role

CODE = Content(message=Message(body="Your code is 4711"))
SLOW = Faults(latency=Latency(median_s=0.3, p99_s=0.3))
WITHIN = 60.0


async def send_and_kill(
    folder: Path, simulator: Simulator, lane: str, addresses: list[str], processes: ForkServerContext
) -> MessageOutcome:
    """What became of a message whose first sender was killed when the provider had some of it."""
    channel, _, name = lane.partition("/")
    app = {**simulated(simulator.facts()), "max_connections": 1}
    assert app["channel"] == channel
    config = Config.model_validate(
        {"store": {"url": f"sqlite:///{folder / 's.db'}"}, "apps": {name: app}, "sending": {"lease": 1.0}}
    )
    async with Stentor(config) as stentor, asyncio.timeout(WITHIN):
        sent = await stentor.messages.send(CODE, lane=lane, addresses=addresses)
        sender = start_role(processes, "sender", config)
        while not len(simulator.ledger):  # noqa: ASYNC110 - it is another process that sends
            await asyncio.sleep(0.005)
        await sender.kill()
        sender = start_role(processes, "sender", config)
        outcome = await stentor.messages.settled(sent.id, WITHIN)
        assert await sender.stop() == 0
        audit = await stentor.outcomes.audit(sent.id)
        assert audit.exact, audit.checks
    assert outcome.settled
    return outcome


async def test_a_push_is_sent_again_with_the_id_of_the_first(tmp_path: Path, processes: ForkServerContext) -> None:
    async with ApnsSimulator(faults=SLOW) as apns:
        addresses = [f"{number:064x}" for number in range(5)]
        outcome = await send_and_kill(tmp_path, apns, "apns/ios", addresses, processes)
        assert [each.outcome for each in outcome.recipients] == ["accepted"] * 5
        assert {entry.dedup_id for entry in apns.ledger} == {outcome.id}
        assert sorted(set(apns.ledger.addresses())) == addresses


async def test_no_chat_gets_it_twice(tmp_path: Path, processes: ForkServerContext) -> None:
    async with TelegramSimulator(faults=SLOW) as telegram:
        addresses = [str(1000 + number) for number in range(8)]
        outcome = await send_and_kill(tmp_path, telegram, "telegram/bot", addresses, processes)
        ended = Counter((each.outcome, each.reason) for each in outcome.recipients)
        assert ended.keys() <= {("accepted", ""), ("ambiguous", "Interrupted")}
        got = Counter(telegram.ledger.addresses())
        assert max(got.values()) == 1
        assert ended["accepted", ""] <= len(got)
