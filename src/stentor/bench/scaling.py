"""`stentor bench scaling`: what more senders bring, where each is held to a few thousand pushes a second.

A sender with one connection of 100 streams to a simulator that answers after 33 ms sends 3,000 a second and hardly
needs a core for it, so several of them on one machine stand for as many machines. The rate is taken from the middle of
each campaign, when all senders are at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from stentor.bench import campaign
from stentor.bench.cluster import ClusterServers
from stentor.bench.journey import AUDIENCE, Measured
from stentor.bench.processes import simulator
from stentor.config import Config
from stentor.counted import counted

STREAMS = 100
"""Of a connection to FCM."""
LATENCY = 0.033
SLACK = 1.1
"""Times what the connections allow that may be seen: outcomes become known a little after the answers."""
RATE = round(STREAMS / LATENCY)
"""Pushes a second that a sender is held to."""
BEGIN, END = 0.4, 0.95
"""The part of a campaign in which the rate is taken: the senders begin one after the other, and end so."""
LONGER = 4
"""Times the seconds that a campaign takes at most, where too little of a shorter one was seen: outcomes become known in
lumps on a machine that is busy with other things."""


def run(
    senders: Sequence[int],
    seconds: float,
    servers: tuple[str | None, str | None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure each number of senders in turn; `say` is told what is being measured.

    Args:
        senders: how many sender processes; the first is what the others are compared with.
        seconds: how long each campaign takes at least.
        servers: as in `cluster.run`.

    Returns: a JSON object, described in `bench/README.md`.

    Raises: as `cluster.run`.
    """
    rows: list[dict[str, Any]] = []
    with ClusterServers.found(1, servers) as place:
        for number in senders:
            rate, recipients, sent, spent = _measured(place, number, seconds, say)
            first = rows[0] if rows else {"rate": rate, "senders": number}
            rows.append(
                {
                    "senders": number,
                    "recipients": recipients,
                    "rate": round(rate),
                    "rate_a_sender": round(rate / number),
                    "linearity": round(rate / number / (first["rate"] / first["senders"]), 3),
                    "cpu_us": round(sum(spent.values()), 2),
                    "exact": sent.exact,
                    "problems": sent.problems,
                }
            )
    return {"held_to": RATE, "latency_ms": LATENCY * 1000, "streams": STREAMS, "rows": rows}


def _measured(
    place: ClusterServers, senders: int, seconds: float, say: Callable[[str], None]
) -> tuple[float, int, Measured, dict[str, float]]:
    """The rate, of how many recipients, and what else was found of a campaign that was long enough to tell it."""
    longest = LONGER * seconds
    while True:
        recipients = round(senders * RATE * seconds)
        say(f"{counted(senders, 'sender')}: {counted(recipients, 'recipient')}")
        sent, spent = _send(place, senders, recipients)
        rate = steady_rate(sent.progress, recipients, at_most=senders * RATE)
        if rate is not None:
            return rate, recipients, sent, spent
        if seconds >= longest:
            raise RuntimeError("the campaign was too short to tell its rate; let it take longer with --seconds")
        seconds *= 2
        say("too short to tell its rate; once more, twice as long")


def steady_rate(progress: Sequence[tuple[float, int]], recipients: int, at_most: float) -> float | None:
    """Outcomes a second in the middle of a campaign: the slope of the line through what was seen of it.

    Args:
        at_most: a second, by what the connections allow.

    Returns: None if too little was seen: fewer than three points, or more between them than the connections allow.
    """
    seen = [(at, done) for at, done in progress if BEGIN * recipients <= done <= END * recipients]
    if len(seen) < 3 or seen[-1][1] - seen[0][1] > SLACK * at_most * (seen[-1][0] - seen[0][0]):
        return None
    middle = sum(at for at, _ in seen) / len(seen)
    mean = sum(done for _, done in seen) / len(seen)
    spread = sum((at - middle) ** 2 for at, _ in seen)
    return sum((at - middle) * (done - mean) for at, done in seen) / spread


def _send(place: ClusterServers, senders: int, recipients: int) -> tuple[Measured, dict[str, float]]:
    with ExitStack() as stack:
        store, audience = stack.enter_context(campaign.postgresql(place.database, recipients, androids=True))
        queue = stack.enter_context(place.queue())
        slow = ("--mode", "fast", "--latency", str(LATENCY))
        facts, _ = stack.enter_context(simulator("fcm", *slow))
        android = {key: facts[key] for key in ("url", "ca_file", "service_account_file", "project", "token_url")}
        sent = campaign.travel(
            Config.model_validate(
                {
                    "store": {"url": store},
                    "queue": queue,
                    "apps": {"android": {"channel": "fcm", "max_connections": 1, **android}},
                    "audiences": {AUDIENCE: {"url": audience, **campaign.COLUMNS}},
                    "sending": {"senders": senders},
                }
            )
        )
    return sent, {stage: cpu / recipients * 1e6 for stage, cpu in campaign.stages(sent).items()}
