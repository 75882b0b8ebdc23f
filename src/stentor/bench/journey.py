"""The measured campaign of `stentor bench campaign`: what `stentor send` does, in a process of its own.

Run as `python -m stentor.bench.journey`, its settings as one line of JSON on stdin; prints one JSON object. The
planner and the senders are processes of their own beside it, as always; this one starts them, watches, and audits.
"""

from __future__ import annotations

import sys
import time

import msgspec
import uvloop

from stentor.audience.contract import Selection
from stentor.bench.load import peak_mb
from stentor.config import Config, restore
from stentor.model import Message
from stentor.planning.content import Content
from stentor.runtime.draft import Draft
from stentor.runtime.stentor import Stentor
from stentor.runtime.supervisor import Closing

AUDIENCE = "bench"
MESSAGE = Message(title="Your order is on its way", body="It arrives tomorrow between 9 and 11; tap to follow it.")


class Measured(msgspec.Struct, frozen=True):
    """One campaign. Times are epoch seconds."""

    started_at: float
    """When it was asked to start."""
    finished_at: float
    """When its last outcome was known to be durable."""
    watching: float
    """CPU seconds of this process meanwhile."""
    peak_mb: float
    """Resident memory of this process at its highest, before the audit, in MiB."""
    roles: list[Closing]
    progress: list[tuple[float, int]]
    """A few times a second: when, and how many had an outcome by then."""
    accepted: int
    failed: int
    exact: bool
    """Whether the audit found every recipient with exactly one outcome, and all sums agreeing."""
    problems: list[str]
    """What the audit found otherwise."""


async def send(config: Config) -> Measured:
    """Prepare, start and watch one campaign to its end, then recount it."""
    progress: list[tuple[float, int]] = []
    async with Stentor(config) as stentor:
        async with stentor.roles.at_work():
            content, selection = Content(message=MESSAGE), Selection(source=AUDIENCE)
            preview = await stentor.campaigns.prepare(Draft(content, selection))
            draft = await stentor.campaigns.create(Draft(content, selection), preview=preview)
            started_at, before = time.time(), time.process_time()
            await stentor.campaigns.start(draft.id)
            report = await stentor.roles.run(
                draft.id, on_progress=lambda seen: progress.append((time.time(), seen.total.settled))
            )
            watching = time.process_time() - before
        peak = peak_mb()
        audit = await stentor.outcomes.audit(draft.id)
    return Measured(
        started_at=started_at,
        finished_at=report.campaign.finished_at or time.time(),
        watching=watching,
        peak_mb=peak,
        roles=stentor.roles.closings,
        progress=progress,
        accepted=report.total.accepted,
        failed=report.total.settled - report.total.accepted,
        exact=audit.exact,
        problems=[f"{check.name}: {check.detail}" for check in audit.checks if not check.ok],
    )


if __name__ == "__main__":
    measured = uvloop.run(send(restore(sys.stdin.buffer.readline())))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
