"""How soon a transactional message is at the provider while a campaign keeps the machine as busy as it can be.

A message a few times a second, each to one device on the lane of the campaign's iPhones, whose simulator keeps when
the first byte of its request was there. Sender and simulators share the machine, so what is measured is the worst that
an app's own server would see.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from stentor.audience.contract import Selection
from stentor.bench import campaign as campaigns
from stentor.bench.journey import AUDIENCE, MESSAGE
from stentor.bench.processes import simulator
from stentor.config import Config
from stentor.counted import counted
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.store.campaigns import Campaign

EVERY = 0.05
"""Seconds from one message to the next."""
WATCHED = "feedfeed"
"""What the tokens of messages begin with."""
LANE = "apns/ios"
SETTLED_WITHIN = 60.0
"""Seconds in which every message must have its outcome once the campaign is over."""


_NUMBERS = count()
"""Of messages: no two go to one token, whoever sends them."""


def run(
    recipients: int,
    say: Callable[[str], None],
    *,
    urls: tuple[str, str] | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Send a campaign to so many, and messages meanwhile; `say` is told what is being done.

    Args:
        urls: of store and audience; None: SQLite files in a temporary folder.
        sections: more settings, by table: `queue`, `sending`.

    Returns: a JSON object: `messages`, how many; `first_byte_ms`, from the call of `send` to the request's first byte
        at the provider, and `send_ms`, from the call to its return, each as `p50`, `p99` and `max`; `accepted` of the
        messages; `rate`, the campaign's recipients a second.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stentor-bench-")))
        say(f"messages: making {counted(recipients, 'installation')}")
        store, audience = urls or stack.enter_context(campaigns.sqlite(folder, recipients))
        say(f"messages: one each {EVERY * 1000:.0f} ms during a campaign")
        fast = ("--mode", "fast")
        with simulator("apns", *fast, "--watch", WATCHED) as (apns, seen), simulator("fcm", *fast) as (fcm, _):
            config = campaigns.config_of(store, audience, apns, fcm, sections or {})
            sent, seconds = uvloop.run(_send(config))
    return {**sent.figures(seen["seen"]), "rate": round(recipients / seconds)}


class Sent:
    """What was asked for, and when."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        """Epoch seconds of each call, by token."""
        self.took: list[float] = []
        self.ids: list[str] = []
        self.accepted = 0

    async def timed(self, send: Callable[[str], Awaitable[str]]) -> None:
        """Send a message and note how long that takes.

        Args:
            send: sends it to the token that it is given, and returns its id.
        """
        token = WATCHED + f"{next(_NUMBERS):056x}"
        self.began[token] = time.time()
        message_id = await send(token)
        self.took.append(time.time() - self.began[token])
        self.ids.append(message_id)

    async def settle(self, stentor: Stentor) -> None:
        """Wait for the outcomes of all, and count those that were accepted."""
        for message_id in self.ids:
            outcome = await stentor.messages.settled(message_id, SETTLED_WITHIN)
            self.accepted += outcome.recipients[0].outcome == "accepted"

    def figures(self, seen: Mapping[str, float]) -> dict[str, Any]:
        """What is told of them; `seen`, when the first byte of each token's request was at the simulator."""
        waits = [at - self.began[token] for token, at in seen.items() if token in self.began]
        return {
            "messages": len(self.ids),
            "seen": len(waits),
            "accepted": self.accepted,
            "first_byte_ms": quantiles(waits),
            "send_ms": quantiles(self.took),
        }


async def _send(config: Config) -> tuple[Sent, float]:
    """The messages, and how many seconds the campaign took."""
    content = Content(message=MESSAGE)
    async with Stentor(config) as stentor, stentor.roles.at_work():

        async def send(token: str) -> str:
            return (await stentor.messages.send(content, lane=LANE, addresses=[token])).id

        draft = await stentor.campaigns.create(Draft(content, Selection(source=AUDIENCE)))
        first, sent = Sent(), Sent()
        await first.timed(send)  # with it credentials are read, processes start and connections are opened
        await first.settle(stentor)
        await stentor.campaigns.start(draft.id)
        over = asyncio.create_task(stentor.roles.run(draft.id))
        while not over.done():
            await asyncio.gather(sent.timed(send), asyncio.wait([over], timeout=EVERY))
        seconds = seconds_of((await over).campaign)
        await sent.settle(stentor)
    return sent, seconds


def seconds_of(campaign: Campaign) -> float:
    """How long a campaign took that has ended."""
    assert campaign.finished_at is not None
    assert campaign.starts_at is not None
    return campaign.finished_at - campaign.starts_at


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """`p50`, `p99` and `max`, in milliseconds."""
    in_order = sorted(seconds)

    def at(part: float) -> float:
        return round(in_order[min(len(in_order) - 1, int(part * len(in_order)))] * 1000, 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)} if in_order else {}
