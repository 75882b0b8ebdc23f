"""A bot's long campaign, and its undo, each with a sender that is killed on the way.

Run by `make soak`, and not collected otherwise. `STENTOR_SOAK_CHATS` sets how many chats there are: 10,000 take six
minutes each way.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

from stentor.simulators.telegram import TelegramSimulator
from stentor.testing.roles import RoleProcess, start_role
from tests.integration.kill.conftest import processes
from tests.integration.kill.test_channels import Chats, begun, chat

__all__ = ["processes"]  # a fixture

CHATS = int(os.environ.get("STENTOR_SOAK_CHATS", "10000"))
WINDOW = 60.0


async def see_through(chats: Chats, context: ForkServerContext, done: Callable[[], int]) -> str:
    """Have the campaign sent, with a kill when a third is `done`. Returns: how fast it was."""
    roles = [start_role(context, role, chats.config) for role in ("planner", "sender")]
    killed: RoleProcess | None = None
    marks: list[tuple[float, int]] = []
    while await chats.is_going():
        if killed is None and done() > CHATS / 3:
            killed = roles.pop()
            await killed.kill()
            roles.append(start_role(context, "sender", chats.config))
            marks.clear()
        marks.append((time.monotonic(), done()))
    assert [await role.stop() for role in roles] == [0, 0]
    assert killed is not None
    return f"{', '.join(f'{rate:.2f}' for rate in _rates(marks))} a second, minute by minute after the kill"


def _rates(marks: list[tuple[float, int]]) -> list[float]:
    rates = []
    (start, first), (end, _) = next(mark for mark in marks if mark[1] > marks[0][1]), marks[-1]
    while start + WINDOW <= end:
        at, number = next(mark for mark in marks if mark[0] >= start + WINDOW)
        rates.append((number - first) / (at - start))
        start, first = at, number
    return rates


async def test_a_bot_and_its_undo(tmp_path: Path, processes: ForkServerContext) -> None:
    async with TelegramSimulator() as telegram, begun(tmp_path, telegram, chat, chats=CHATS) as chats:
        sent = await see_through(chats, processes, lambda: len(telegram.ledger))
        report = await chats.stentor.outcomes.report(chats.campaign)
        assert (await chats.stentor.outcomes.audit(chats.campaign)).exact
        got = Counter(telegram.ledger.addresses())
        assert max(got.values()) == 1
        assert report.total.accepted + report.total.ambiguous == CHATS
        print(f"{CHATS} chats: {sent}; {report.total.ambiguous} ambiguous")  # noqa: T201 - the report of the soak

        undo = await chats.stentor.campaigns.undo(chats.campaign)
        await chats.stentor.campaigns.start(undo.id)
        back = Chats(chats.stentor, chats.config, undo.id)
        deleted = await see_through(back, processes, lambda: telegram.world.tally.deleted)
        report = await chats.stentor.outcomes.report(undo.id)
        assert (await chats.stentor.outcomes.audit(undo.id)).exact
        assert report.total.read == CHATS
        lost = report.reasons  # those of whom no receipt is known: they were ambiguous
        assert report.total.accepted == telegram.world.tally.deleted
        print(f"undone: {deleted}; {report.total.accepted} deleted, {lost}")  # noqa: T201 - the report of the soak
        assert not [reason for reason in telegram.summary()["rejected"] if "429" in reason]
