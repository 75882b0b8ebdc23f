"""How soon a transactional message is at the provider while a campaign keeps the machine as busy as it can be.

A message a few times a second, each to one device on the lane of the campaign's iPhones, whose simulator keeps when
the first byte of its request was there. Sender and simulators share the machine, so what is measured is the worst that
an app's own server would see.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from stentor.audience.contract import Selection
from stentor.bench import campaign
from stentor.bench.journey import AUDIENCE, MESSAGE
from stentor.bench.processes import simulator
from stentor.config import Config
from stentor.counted import counted
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor

EVERY = 0.05
"""Seconds from one message to the next."""
WATCHED = "feedfeed"
"""What the tokens of messages begin with."""
SETTLED_WITHIN = 60.0
"""Seconds in which every message must have its outcome once the campaign is over."""


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
        store, audience = urls or stack.enter_context(campaign.sqlite(folder, recipients))
        say(f"messages: one each {EVERY * 1000:.0f} ms during a campaign")
        fast = ("--mode", "fast")
        with simulator("apns", *fast, "--watch", WATCHED) as (apns, seen), simulator("fcm", *fast) as (fcm, _):
            config = campaign.config_of(store, audience, apns, fcm, sections or {})
            sent = uvloop.run(_send(config))
    return _found(recipients, sent, seen["seen"])


class _Sent:
    """What was asked for, and when."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        """Epoch seconds of each call, by token."""
        self.took: list[float] = []
        self.ids: list[str] = []
        self.accepted = 0
        self.seconds = 0.0


async def _send(config: Config) -> _Sent:
    sent = _Sent()
    content = Content(message=MESSAGE)
    async with Stentor(config) as stentor, stentor.roles.at_work():
        draft = await stentor.campaigns.create(Draft(content, Selection(source=AUDIENCE)))
        first = _Sent()  # with it credentials are read, processes start and connections are opened
        await _message(stentor, content, first, 0)
        await stentor.messages.settled(first.ids[0], SETTLED_WITHIN)
        await stentor.campaigns.start(draft.id)
        over = asyncio.create_task(stentor.roles.run(draft.id))
        number = 0
        while not over.done():
            number += 1
            await asyncio.gather(_message(stentor, content, sent, number), asyncio.wait([over], timeout=EVERY))
        report = await over
        campaign_of = report.campaign
        assert campaign_of.finished_at is not None
        assert campaign_of.starts_at is not None
        sent.seconds = campaign_of.finished_at - campaign_of.starts_at
        for message_id in sent.ids:
            outcome = await stentor.messages.settled(message_id, SETTLED_WITHIN)
            sent.accepted += outcome.recipients[0].outcome == "accepted"
    return sent


async def _message(stentor: Stentor, content: Content, sent: _Sent, number: int) -> None:
    token = WATCHED + f"{number:056x}"
    sent.began[token] = time.time()
    outcome = await stentor.messages.send(content, lane="apns/ios", addresses=[token])
    sent.took.append(time.time() - sent.began[token])
    sent.ids.append(outcome.id)


def _found(recipients: int, sent: _Sent, seen: Mapping[str, float]) -> dict[str, Any]:
    waits = [at - sent.began[token] for token, at in seen.items() if token in sent.began]
    return {
        "messages": len(sent.ids),
        "seen": len(waits),
        "accepted": sent.accepted,
        "first_byte_ms": _quantiles(waits),
        "send_ms": _quantiles(sent.took),
        "rate": round(recipients / sent.seconds),
    }


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    in_order = sorted(seconds)

    def at(part: float) -> float:
        return round(in_order[min(len(in_order) - 1, int(part * len(in_order)))] * 1000, 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)} if in_order else {}
