"""`stentor drain`: lets what is under way come to its end, and nothing new begin."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Annotated

import typer
from rich.console import Console

from stentor.cli.operations import FAILED, INTERRUPTED, AsJson, ConfigFile, console, perform, signals
from stentor.cli.printing import say
from stentor.counted import counted
from stentor.errors import InvalidConfiguration
from stentor.runtime import shapes
from stentor.runtime.queue_control import Backlog
from stentor.runtime.stentor import Stentor
from stentor.runtime.written import duration
from stentor.states import CampaignState

LINE_EVERY = 5.0
"""Seconds between two lines about what is left."""
STILL = 10.0
"""Seconds without any change after which it is asked whether anything is running."""
HELD_BACK = "Campaigns are still held back; `stentor drain --end` lets them start again."


def drain(
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long to wait at most, e.g. 90s or 1h30m. Default: for ever."),
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Let campaigns start again.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold back new campaigns, and wait until nothing is under way. Do this before you move the queue.

    Keep the roles running meanwhile. Scheduled campaigns wait, even past their time, and lose nothing. Exits with 0
    when everything is drained, and with 1 if the timeout ends first. Campaigns are held back until you run
    `stentor drain --end`, even after Ctrl-C.

    \b
    Examples:
      stentor drain --timeout 30m
      stentor drain --end
    """
    if end and timeout is not None:
        raise InvalidConfiguration("--end doesn't wait for anything, so --timeout can't be given as well")
    out = console(as_json=as_json)
    if end:
        perform(config, lambda stentor: stentor.queue.end_drain())
        out.print("Campaigns may start again.")
        if as_json:
            say({"draining": False})
        return
    seconds = None if timeout is None else duration("--timeout", timeout)
    interrupted = False

    async def work(stentor: Stentor) -> Backlog:
        nonlocal interrupted
        stop = asyncio.Event()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            stop.set()

        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, stop.set)
        out.print("No campaign starts from now on; waiting for those under way.")
        with signals({signal.SIGINT: interrupt, signal.SIGTERM: interrupt}):
            return await stentor.queue.drain(on_progress=_Told(out).show, stop=stop)

    left = perform(config, work)
    if as_json:
        say(shapes.backlog(left))
    if left.empty:
        out.print(
            "Drained: nothing is under way. Now stop the roles, change what is to be changed, and start them again."
        )
        out.print("Then `stentor drain --end` lets campaigns start.")
        return
    typer.echo(f"stentor: not drained: {told(left)}. {HELD_BACK}", err=True)
    raise typer.Exit(INTERRUPTED if interrupted else FAILED)


def told(left: Backlog) -> str:
    """What is left, in a few words."""
    parts = [
        (len(left.campaigns), "campaign", "campaigns"),
        (left.recipients, "recipient", "recipients"),
        (left.batches, "queued batch", "queued batches"),
        (left.unrecorded, "message to be recorded", "messages to be recorded"),
    ]
    return ", ".join(counted(number, one, many) for number, one, many in parts if number) or "nothing"


class _Told:
    """Tells how a drain goes: a line now and then, and what keeps it from getting on."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._left: Backlog | None = None
        self._changed_at = self._lined_at = float("-inf")
        self._asked = False
        self._paused: set[str] = set()

    def show(self, left: Backlog) -> None:
        now = time.monotonic()
        if left != self._left:
            self._left, self._changed_at, self._asked = left, now, False
        if not left.empty and now - self._lined_at >= LINE_EVERY:
            self._out.print(f"  left: {told(left)}")
            self._lined_at = now
        for campaign, state in left.campaigns.items():
            if state is CampaignState.PAUSED and campaign not in self._paused:
                self._paused.add(campaign)
                self._out.print(
                    f"  Campaign {campaign} is paused halfway: `stentor campaign resume {campaign}` or"
                    f" `stentor campaign cancel {campaign}`.",
                    soft_wrap=True,
                )
        if not self._asked and not left.empty and now - self._changed_at >= STILL:
            self._asked = True
            self._out.print("  Nothing has changed for a while: is `stentor serve` running?")
