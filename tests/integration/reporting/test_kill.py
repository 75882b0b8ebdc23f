"""A process that is killed between taking a report and sending it: the report still goes out."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from stentor.config import ReportsConfig, ReportTarget
from stentor.reporting import outbox
from stentor.reporting.deliverer import Deliverer
from stentor.reporting.outbox import DeliveryStatus
from stentor.reporting.targets import open_receiver
from stentor.states import CampaignState
from tests.integration.recording.rows import Rows
from tests.integration.reporting.receivers import http_receiver
from tests.integration.reporting.scene import Clock, campaign, detector

LEASE = 1.0
CHILD = """
import asyncio, sys, time
from stentor.config import ReportTarget
from stentor.reporting.deliverer import Deliverer
from stentor.reporting.targets import open_receiver
from stentor.store.database import Database

class Killed:
    kind = "killed"
    async def tell(self, event, now):
        sys.stdout.write("claimed\\n"); sys.stdout.flush()
        await asyncio.sleep(600)

async def main():
    database = Database.open(sys.argv[1])
    await Deliverer(database, {"team": Killed()}, lambda: float(sys.argv[2]), lease=float(sys.argv[3])).finish(600)

asyncio.run(main())
"""


async def test_what_a_killed_process_had_taken_is_sent_by_another(
    rows: Rows, database_url: str, tmp_path: Path
) -> None:
    clock = Clock()
    async with http_receiver() as receiver:
        target = ReportTarget(url=f"json://127.0.0.1:{receiver.port}/hook")
        looking = detector(rows, clock, ReportsConfig(targets={"team": target}))
        await looking.look()
        await campaign(rows, state=CampaignState.COMPLETED)
        await looking.look()
        script = tmp_path / "child.py"
        script.write_text(CHILD)
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(script), database_url, str(clock.now), str(LEASE), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), 60) == b"claimed\n"
        child.send_signal(signal.SIGKILL)
        await child.wait()
        await Deliverer(rows.database, {"team": open_receiver("team", target)}, clock).finish(60)
        assert receiver.got == []  # its lease still holds
        clock.now += LEASE
        await Deliverer(rows.database, {"team": open_receiver("team", target)}, clock).finish(60)
        assert len(receiver.got) == 1
        (found,) = await rows.database.ask(outbox.deliveries)
        assert (found.status, found.tries) == (DeliveryStatus.SENT, 2)
